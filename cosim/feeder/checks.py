"""Comparisons with pandapower, remembered on disk so that a warm run need not import it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cosim.feeder.network import write_atomically
from cosim.feeder.topology import Topology

PACKAGES = ("pandapower", "numpy", "numba", "pandas", "simbench")


def cache_dir() -> Path:
    """Return the folder for what can be made again: extracted networks and remembered checks."""
    if named := os.environ.get("COSIM_CACHE_DIR"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "cosim"


@lru_cache(maxsize=1)
def versions() -> str:
    """Return the versions of all packages that results depend on, without importing them."""
    found = []
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{name}={version(name)}")
    return " ".join(found)


def source_hash(*modules: str) -> str:
    """Return a hash over source files of this folder."""
    digest = hashlib.sha256()
    for module in modules:
        digest.update((Path(__file__).parent / f"{module}.py").read_bytes())
    return digest.hexdigest()


class Memory:
    """The deviations found for one network, slack voltage and tolerance, by topology."""

    def __init__(
        self, folder: Path | None, network_key: str, slack_v_pu: complex, tolerance_pu: float
    ) -> None:
        self._folder = (cache_dir() if folder is None else Path(folder)) / "checks"
        code = source_hash("kernels", "tree", "topology", "pandapower_engine", "feeder")
        self._prefix = f"{network_key}\n{code}\n{versions()}\n{slack_v_pu!r}\n{tolerance_pu!r}\n"

    def _path(self, topology: Topology) -> Path:
        name = hashlib.sha256((self._prefix + str(topology)).encode()).hexdigest()
        return self._folder / f"{name}.json"

    def recall(self, topology: Topology) -> float | None:
        """Return the remembered deviation in p.u., or None."""
        try:
            value = json.loads(self._path(topology).read_text())["deviation_pu"]
            return float(value)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def remember(self, topology: Topology, deviation_pu: float) -> None:
        """Store a deviation; a folder that cannot be written is no reason to fail."""
        content = json.dumps({"deviation_pu": deviation_pu, "topology": str(topology)})
        with contextlib.suppress(OSError):
            write_atomically(self._path(topology), content.encode())
