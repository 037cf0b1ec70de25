"""The event log: one JSON object a line, in the order things happened."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cosim.record.day import Scope
from cosim.record.folder import writing

EVENTS = "events.jsonl"


def append_events(
    path: Path, events: Sequence[tuple[int, str, dict[str, Any]]], scope: Scope
) -> None:
    """Append events to the log, which exists afterwards even if there are none."""
    lines = [_line(second, kind, details, scope) for second, kind, details in events]
    with writing(path), open(path, "a", encoding="utf-8") as file:
        file.write("".join(lines))


def _line(second: int, kind: str, details: dict[str, Any], scope: Scope) -> str:
    when = scope.case.grid.utc(second).isoformat()
    content = {"time": when, "second": second, "kind": kind, "details": details}
    return json.dumps(content, default=str) + "\n"
