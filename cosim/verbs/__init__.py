"""The verbs of the command line: one module each, imported when asked for.

A verb module has ``add_arguments(parser)`` and ``run(arguments) -> int``, the exit code; its
docstring is its help. Importing it must be cheap: what is heavy is imported inside ``run``.
Modules whose name begins with ``_`` are shared helpers.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType


def names() -> list[str]:
    """Return the names of all verbs."""
    found = (info.name for info in pkgutil.iter_modules(__path__))
    return sorted(name.replace("_", "-") for name in found if not name.startswith("_"))


def load(name: str) -> ModuleType:
    """Import a verb."""
    return importlib.import_module(f"cosim.verbs.{name.replace('-', '_')}")


def summary(name: str) -> str:
    """Return the first line of a verb's help."""
    return (load(name).__doc__ or "").partition("\n")[0].rstrip(".")
