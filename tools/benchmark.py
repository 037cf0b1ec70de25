"""Measure cosim against baselines in the same run, and print how many times faster it is.

python tools/benchmark.py
python tools/benchmark.py --quick --only loop,parts --json benchmark.json

Compared are runs of one world: a January day of 118 participants on 129 buses. A ratio is printed
only where both sides came to the same results. Times are medians, with the range of the repetitions
in brackets; on a busy machine ratios are steadier than times. Needs the extra ``test`` for the load
flows of others.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # finds tools.*

from tools._bench_common import BenchmarkError, Row, Sample, World, digits
from tools._bench_lanes import lanes_rows
from tools._bench_loadflow import loadflow_rows
from tools._bench_loop import loop_rows
from tools._bench_markets import markets_rows
from tools._bench_parts import parts_rows
from tools._bench_start import child_first, start_rows
from tools._bench_year import child_weeks, year_rows

SECTIONS: dict[str, tuple[str, Callable[[World], Iterator[Row]]]] = {
    "loop": ("The loop, per interval", loop_rows),
    "parts": ("Where the time of an interval goes", parts_rows),
    "lanes": ("Lanes, per prosumer and interval", lanes_rows),
    "markets": ("Clearing, by mechanism", markets_rows),
    "year": ("A year, and memory", year_rows),
    "loadflow": ("The load flow, per state of 129 buses", loadflow_rows),
    "start": ("Start-up", start_rows),
}
HEADINGS = ("what", "ours", "baseline", "ratio", "goal", "against, and remarks")


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    packages = ("numpy", "numba", "simpy", "pandapower", "power-grid-model", "lightsim2grid")
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        **{name: _version(name) for name in packages},
    }


def _cpu() -> str:
    """Return the model of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def shown(sample: Sample | None, unit: str) -> str:
    """Return a median with its unit, and the range where there were several."""
    if sample is None:
        return ""
    text = f"{digits(sample.median)} {unit}"
    if len(sample.values) == 1:
        return text
    return f"{text} ({digits(min(sample.values))}..{digits(max(sample.values))})"


def cells(row: Row) -> tuple[str, ...]:
    """Return a row as text."""
    goal = ""
    if row.goal is not None:
        goal = f"< {digits(row.goal)} {row.unit}: {'reached' if row.reached else 'MISSED'}"
    return (
        row.what,
        shown(row.ours, row.unit),
        shown(row.baseline, row.unit),
        "" if row.ratio is None else f"{digits(row.ratio)} x",
        goal,
        "; ".join(text for text in (row.against, row.note) if text),
    )


def table(found: dict[str, list[Row]]) -> str:
    """Return all sections as aligned text."""
    texts = {name: [cells(row) for row in rows] for name, rows in found.items()}
    everything = [HEADINGS, *(row for rows in texts.values() for row in rows)]
    widths = [max(len(row[i]) for row in everything) for i in range(len(HEADINGS))]

    def line(row: Sequence[str]) -> str:
        return "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()

    lines = [line(HEADINGS)]
    for name, rows in texts.items():
        lines += ["", SECTIONS[name][0], *map(line, rows)]
    return "\n".join(lines)


def as_json(found: dict[str, list[Row]], about: dict[str, Any]) -> dict[str, Any]:
    """Return machine and rows as plain values."""
    return {
        "machine": about,
        "sections": {
            name: [asdict(row) | {"ratio": row.ratio, "reached": row.reached} for row in rows]
            for name, rows in found.items()
        },
    }


def measured(world: World, names: Sequence[str]) -> dict[str, list[Row]]:
    """Return the rows of sections; a section ends where a comparison is refused."""
    found: dict[str, list[Row]] = {}
    for name in names:
        found[name] = []
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        try:
            found[name].extend(SECTIONS[name][1](world))
        except BenchmarkError as error:
            found[name].append(Row("refused", note=str(error), refused=True))
    return found


def sections(text: str) -> list[str]:
    """Return the sections named in an option."""
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in SECTIONS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"unknown section {', '.join(unknown)}; there are {', '.join(SECTIONS)}"
        )
    return names


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 where a comparison was refused."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", type=sections, default=list(SECTIONS), metavar="SECTION,...",
                        help=f"of {', '.join(SECTIONS)}")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, shorter runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the same as JSON")
    parser.add_argument("--child-weeks", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--child-first", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.child_weeks is not None:
        print(json.dumps(child_weeks(arguments.child_weeks)))
        return 0
    if arguments.child_first is not None:
        print(json.dumps(child_first(arguments.child_first)))
        return 0
    about = machine()
    found = measured(World(arguments.quick), arguments.only)
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in about.items()))
    print("Medians, range in brackets; on a busy machine trust ratios more than times.\n")
    print(table(found))
    if arguments.json is not None:
        text = json.dumps(as_json(found, about), indent=2)
        arguments.json.write_text(text + "\n", encoding="utf-8")
    return int(any(row.refused for rows in found.values() for row in rows))


if __name__ == "__main__":
    sys.exit(main())
