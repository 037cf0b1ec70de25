"""cosim: discrete-event co-simulation of local energy markets on a real feeder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cosim.results import load_run

__all__ = ["load_run"]


def __getattr__(name: str) -> Any:
    """Import ``load_run`` when it is first asked for."""
    if name == "load_run":
        from cosim.results import load_run

        return load_run
    raise AttributeError(f"module 'cosim' has no attribute '{name}'")
