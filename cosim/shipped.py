"""Where scenarios lie that are asked for by a bare name."""

from __future__ import annotations

from pathlib import Path

import cosim

#: scenarios that come with the package, used when the working folder has none
SHIPPED = Path(cosim.__file__).resolve().parent.parent / "scenarios"


def scenario_folder() -> Path:
    """Return the folder of scenarios: the working folder's, else the shipped one."""
    own = Path("scenarios")
    return own if own.is_dir() else SHIPPED


def scenario_path(text: str | Path) -> Path:
    """Return the path meant: ``plain`` is ``scenarios/plain.yaml`` unless such a file exists."""
    bare = str(text).replace("-", "_").isidentifier()
    if not bare or Path(text).is_file():
        return Path(text)
    return scenario_folder() / f"{text}.yaml"
