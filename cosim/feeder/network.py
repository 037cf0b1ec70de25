"""The network as plain arrays: all that the load flow, the limits and the reports need.

Nodes are what pandapower's closed bus-bus switches leave of the buses; branches join nodes.
Currents into a branch are ``[i_from, i_to] = y @ [v_from, v_to]`` in per unit of ``base_mva``,
with the admittances that pandapower itself uses.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Network:
    """A feeder's constants.

    Shapes: ``b`` buses, ``l`` lines, ``t`` transformers, ``n`` nodes, ``m`` branches (lines,
    transformers, impedances). Names are unique and in pandapower's order; ``*_index`` are
    pandapower's own indices.
    """

    buses: tuple[str, ...]
    lines: tuple[str, ...]
    trafos: tuple[str, ...]
    bus_index: Ints  # [b]
    line_index: Ints  # [l]
    trafo_index: Ints  # [t]

    x: Floats  # [b], NaN without geodata
    y: Floats  # [b]
    vn_kv: Floats  # [b], rated voltage
    vm_min_pu: Floats  # [b]
    vm_max_pu: Floats  # [b]
    bus_in_service: Bools  # [b]
    bus_node: Ints  # [b]
    line_from_bus: Ints  # [l], positions in buses
    line_to_bus: Ints  # [l]
    line_rating_ka: Floats  # [l], all parallel systems together
    line_max_percent: Floats  # [l]
    line_branch: Ints  # [l], row of the branch arrays
    trafo_hv_bus: Ints  # [t]
    trafo_lv_bus: Ints  # [t]
    trafo_vn_kv: Floats  # [t, 2], rated voltages of the windings hv, lv
    trafo_rating_kva: Floats  # [t], all parallel units together
    trafo_max_percent: Floats  # [t]
    trafo_branch: Ints  # [t]

    base_mva: float
    node_vn_kv: Floats  # [n]
    node_shunt_pu: NDArray[np.complex128]  # [n]
    branch_nodes: Ints  # [m, 2], from and to
    branch_y_pu: NDArray[np.complex128]  # [m, 2, 2]
    branch_in_service: Bools  # [m], as the net was given
    branch_usable: Bools  # [m], False where an end bus is out of service
    slack_bus: int
    slack_v_pu: complex
    radial: bool

    net_json: str = field(repr=False)  # the repaired net in pandapower's own format
    key: str  # hash of all of the above and of the versions that made it

    @property
    def slack_node(self) -> int:
        """Return the node of the slack bus."""
        return int(self.bus_node[self.slack_bus])


def save_network(network: Network, path: Path) -> None:
    """Write the network as one ``.npz`` file, atomically."""
    buffer = io.BytesIO()
    np.savez(buffer, **_packed(network))  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


def load_saved(path: Path) -> Network:
    """Read a network written by ``save_network``; raise ``ValueError`` for anything else."""
    try:
        content = io.BytesIO(path.read_bytes())
        with np.load(content, allow_pickle=False) as archive:
            return _unpacked({name: archive[name] for name in archive.files})
    except Exception as error:  # a damaged file can fail anywhere in zip, numpy or our fields
        raise ValueError(f"{path} is not a saved network: {error}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old one or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _packed(network: Network) -> dict[str, NDArray[Any]]:
    """Return every field as an array; text as its UTF-8 bytes, names joined by a zero byte."""
    packed: dict[str, NDArray[Any]] = {}
    for each in fields(network):
        value = getattr(network, each.name)
        if isinstance(value, tuple):
            value = "\0".join(value)
        if isinstance(value, str):
            value = np.frombuffer(value.encode(), dtype=np.uint8)
        packed[each.name] = np.asarray(value)
    return packed


def _unpacked(arrays: Mapping[str, NDArray[Any]]) -> Network:
    """Return the network of packed arrays."""
    values: dict[str, Any] = {}
    for each in fields(Network):
        array = arrays[each.name]
        if each.type == "str":
            values[each.name] = array.tobytes().decode()
        elif each.type == "tuple[str, ...]":
            text = array.tobytes().decode()
            values[each.name] = tuple(text.split("\0")) if text else ()
        elif each.type in ("int", "float", "complex", "bool"):
            values[each.name] = array.item()
        else:
            array.flags.writeable = False
            values[each.name] = array
    return Network(**values)
