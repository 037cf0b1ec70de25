"""From a pandapower net to the plain arrays of ``Network``, after repairing what bites.

Repairs: transformer taps that pandapower would ignore get their changer type; branches with an
open switch, or on a bus out of service, are out at both ends (pandapower would go on charging a
line from its closed end, some 1e-4 p.u. on long cables); loads, generators and storages are removed
(their power comes through ``Feeder.solve``). Shunts, iron losses and line capacitances stay.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.errors import InputError, Problem, RunError
from cosim.feeder.network import Network
from cosim.feeder.topology import walk

KEPT = ("bus", "line", "trafo", "shunt", "impedance", "ext_grid")
REMOVED = ("load", "sgen", "storage", "controller", "measurement")
TABLES = ("trafo_characteristic_table", "shunt_characteristic_table", "characteristic")


def repair_taps(net: Any) -> None:
    """Name the changer type of every tap in place; without it pandapower 3 ignores the tap."""
    if len(net.trafo) and "tap_step_percent" in net.trafo:
        if "tap_changer_type" not in net.trafo:
            net.trafo["tap_changer_type"] = None
        net.trafo["tap_changer_type"] = net.trafo["tap_changer_type"].astype(object)
        bare = net.trafo.tap_step_percent.notna() & net.trafo.tap_changer_type.isna()
        net.trafo.loc[bare, "tap_changer_type"] = "Ratio"


def extract(net: Any, origin: str, versions: str) -> Network:
    """Return the network of a pandapower net, which is left unchanged.

    ``origin`` names the net in errors; ``versions`` goes into the key. Raises ``InputError`` for
    a net this feeder cannot model exactly.
    """
    import pandapower as pp

    _refuse_unmodelled(net, origin)
    text = pp.to_json(_clean_net(net))
    clean = pp.from_json_string(text)  # the arrays must come from what is stored
    _base_solve(clean, origin)
    arrays = _node_arrays(clean) | _branch_arrays(clean) | _bus_arrays(net, clean)
    arrays |= _line_arrays(clean) | _trafo_arrays(clean) | _slack(clean)
    arrays |= {"base_mva": float(clean.sn_mva), "net_json": text}
    key = hashlib.sha256(f"{versions}\n{text}".encode()).hexdigest()
    draft = Network(**arrays, radial=False, key=key)
    radial = walk(draft, draft.branch_in_service & draft.branch_usable).radial
    return Network(**arrays, radial=radial, key=key)


def _refuse_unmodelled(net: Any, origin: str) -> None:
    """Raise ``InputError`` naming every element in service that would be modelled wrongly."""
    problems = []
    for name, table in net.items():
        if name.startswith(("_", "res_")) or name in (*KEPT, *REMOVED):
            continue
        if "in_service" in getattr(table, "columns", ()) and table.in_service.any():
            problems.append(
                Problem(
                    f"the net has {int(table.in_service.sum())} element(s) '{name}' in service",
                    where=origin,
                    why="the feeder models lines, two-winding transformers, impedances, shunts, "
                    "switches and one supply; power is injected at buses",
                    remedy=f"remove the table '{name}' or take its elements out of service",
                )
            )
    supplies = int((net.ext_grid.in_service & _on(net, net.ext_grid.bus)).sum())
    if supplies != 1:
        problems.append(
            Problem(
                f"the net has {supplies} supplies (ext_grid) in service, not one",
                where=origin,
                remedy="leave exactly one ext_grid in service",
            )
        )
    switch = net.switch
    if len(switch) and ((switch.et == "b") & switch.closed & (switch.z_ohm > 0)).any():
        problems.append(
            Problem(
                "the net has bus-bus switches with an impedance",
                where=origin,
                remedy="set z_ohm to 0, or model them as impedances",
            )
        )
    if problems:
        raise InputError(problems)


def _on(net: Any, buses: Any) -> NDArray[np.bool_]:
    """Return whether each of the buses (pandapower indices) is in service."""
    return net.bus.in_service.reindex(buses).fillna(False).to_numpy(dtype=bool)


def _clean_net(net: Any) -> Any:
    """Return a new net with the passive elements only, repaired."""
    import pandapower as pp

    clean = pp.create_empty_network(f_hz=net.f_hz, sn_mva=net.sn_mva, add_stdtypes=False)
    for name in (*KEPT, *TABLES):
        if name in net and hasattr(net[name], "columns") and len(net[name]):
            clean[name] = net[name].sort_index(axis="columns")  # makers may shuffle columns
    repair_taps(clean)
    if len(net.switch):
        clean["switch"] = net.switch[net.switch.et == "b"].sort_index(axis="columns")
    for table, ends, kind in (
        ("line", ("from_bus", "to_bus"), "l"),
        ("trafo", ("hv_bus", "lv_bus"), "t"),
        ("impedance", ("from_bus", "to_bus"), "none"),
    ):
        frame = clean[table]
        if not len(frame):
            continue
        opened = net.switch[(net.switch.et == kind) & ~net.switch.closed].element
        usable = _on(net, frame[ends[0]]) & _on(net, frame[ends[1]])
        frame["in_service"] = (
            frame.in_service.astype(bool) & ~frame.index.isin(opened) & usable
        ).to_numpy()
    return clean


def _base_solve(clean: Any, origin: str) -> None:
    """Solve the unloaded net in place; raise ``RunError`` when pandapower cannot."""
    import pandapower as pp

    try:
        pp.runpp(clean, calculate_voltage_angles=True, init="dc", max_iteration=30)
    except Exception as error:
        raise RunError(f"{origin}: pandapower cannot solve the unloaded net: {error}") from error


def _node_arrays(clean: Any) -> dict[str, Any]:
    """Return the node arrays from pandapower's own bus matrix of the base solve."""
    from pandapower.pypower.idx_bus import BASE_KV, BS, GS

    bus = clean._ppc["bus"].real
    node = np.asarray(clean._pd2ppc_lookups["bus"])[clean.bus.index.to_numpy()]
    return {
        "bus_node": node.astype(np.int64),
        "bus_in_service": clean.bus.in_service.to_numpy(dtype=bool),
        "node_vn_kv": bus[:, BASE_KV].copy(),
        "node_shunt_pu": (bus[:, GS] + 1j * bus[:, BS]) / clean.sn_mva,
    }


def _branch_arrays(clean: Any) -> dict[str, Any]:
    """Return ends and 2x2 admittances of every branch, in service or not."""
    from pandapower.pypower.idx_brch import BR_STATUS, F_BUS, T_BUS
    from pandapower.pypower.makeYbus import branch_vectors

    branch = clean._ppc["branch"].copy()
    branch[:, BR_STATUS] = 1
    ytt, yff, yft, ytf = branch_vectors(branch, len(branch))
    lookup = clean._pd2ppc_lookups["branch"]
    service = np.ones(len(branch), dtype=np.bool_)
    usable = np.ones(len(branch), dtype=np.bool_)
    for table, first, second in (
        ("line", "from_bus", "to_bus"),
        ("trafo", "hv_bus", "lv_bus"),
        ("impedance", "from_bus", "to_bus"),
    ):
        if table in lookup and len(clean[table]):
            frame = clean[table]
            rows = slice(*lookup[table])
            service[rows] = frame.in_service.to_numpy(dtype=bool)
            usable[rows] = _on(clean, frame[first]) & _on(clean, frame[second])
    return {
        "branch_nodes": branch[:, [F_BUS, T_BUS]].real.astype(np.int64),
        "branch_y_pu": np.stack([np.stack([yff, yft], -1), np.stack([ytf, ytt], -1)], -2),
        "branch_in_service": service,
        "branch_usable": usable,
    }


def _column(frame: Any, name: str, default: float) -> NDArray[np.float64]:
    """Return a column as floats, missing values replaced by the default."""
    if name not in frame:
        return np.full(len(frame), default)
    values = np.array(frame[name], dtype=np.float64)
    return np.where(np.isnan(values), default, values)


def _names(frame: Any, kind: str) -> tuple[str, ...]:
    """Return unique names: the net's own where they are unique, else with the index attached."""
    if "name" in frame:
        own = [str(name).strip() for name in frame["name"].fillna("").to_list()]
    else:
        own = [""] * len(frame)
    result = [
        f"{kind}_{index}" if not name else name if own.count(name) == 1 else f"{name}_{index}"
        for name, index in zip(own, frame.index, strict=True)
    ]
    if len(set(result)) < len(result):
        result = [f"{kind}_{index}" for index in frame.index]
    return tuple(name.replace("\0", "") for name in result)


def _geodata(bus: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x and y per bus of the table, NaN where there is none."""
    xy = np.full((len(bus), 2), np.nan)
    for row, value in enumerate(bus.get("geo", ())):
        try:
            point = json.loads(value) if isinstance(value, str) else value
            xy[row] = point["coordinates"][:2]
        except (TypeError, ValueError, KeyError):
            continue
    return xy[:, 0].copy(), xy[:, 1].copy()


def _bus_arrays(net: Any, clean: Any) -> dict[str, Any]:
    """Return names, places and voltage limits of the buses."""
    x, y = _geodata(net.bus.loc[clean.bus.index])
    return {
        "buses": _names(clean.bus, "bus"),
        "bus_index": clean.bus.index.to_numpy(dtype=np.int64),
        "x": x,
        "y": y,
        "vn_kv": clean.bus.vn_kv.to_numpy(dtype=np.float64),
        "vm_min_pu": _column(clean.bus, "min_vm_pu", 0.9),
        "vm_max_pu": _column(clean.bus, "max_vm_pu", 1.1),
    }


def _positions(clean: Any, buses: Any) -> NDArray[np.int64]:
    """Return the positions of buses given by pandapower index."""
    return clean.bus.index.get_indexer(buses).astype(np.int64)


def _rows(clean: Any, table: str) -> NDArray[np.int64]:
    """Return the rows of a table's elements in the branch arrays."""
    start, stop = clean._pd2ppc_lookups["branch"].get(table, (0, 0))
    return np.arange(start, stop, dtype=np.int64)


def _line_arrays(clean: Any) -> dict[str, Any]:
    """Return names, ends and ratings of the lines."""
    line = clean.line
    return {
        "lines": _names(line, "line"),
        "line_index": line.index.to_numpy(dtype=np.int64),
        "line_from_bus": _positions(clean, line.from_bus),
        "line_to_bus": _positions(clean, line.to_bus),
        "line_rating_ka": _column(line, "max_i_ka", np.nan)
        * _column(line, "df", 1.0)
        * _column(line, "parallel", 1.0),
        "line_max_percent": _column(line, "max_loading_percent", 100.0),
        "line_branch": _rows(clean, "line"),
    }


def _trafo_arrays(clean: Any) -> dict[str, Any]:
    """Return names, ends and ratings of the transformers."""
    trafo = clean.trafo
    sn_mva = _column(trafo, "sn_mva", np.nan)
    return {
        "trafos": _names(trafo, "trafo"),
        "trafo_index": trafo.index.to_numpy(dtype=np.int64),
        "trafo_hv_bus": _positions(clean, trafo.hv_bus),
        "trafo_lv_bus": _positions(clean, trafo.lv_bus),
        "trafo_vn_kv": np.array(trafo[["vn_hv_kv", "vn_lv_kv"]], dtype=np.float64).reshape(-1, 2),
        "trafo_rating_kva": 1e3
        * sn_mva
        * _column(trafo, "df", 1.0)
        * _column(trafo, "parallel", 1.0),
        "trafo_max_percent": _column(trafo, "max_loading_percent", 100.0),
        "trafo_branch": _rows(clean, "trafo"),
    }


def _slack(clean: Any) -> dict[str, Any]:
    """Return the position of the supplied bus and its voltage."""
    supply = clean.ext_grid[clean.ext_grid.in_service.to_numpy(dtype=bool)]
    supply = supply[_on(clean, supply.bus)].iloc[0]
    angle = np.deg2rad(float(supply.va_degree))
    return {
        "slack_bus": int(_positions(clean, [supply.bus])[0]),
        "slack_v_pu": complex(float(supply.vm_pu) * np.exp(1j * angle)),
    }
