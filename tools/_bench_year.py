"""A recorded year, projected from weeks in processes of their own, and the memory they need."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from tools._bench_common import Row, Sample, World, child, load, recorded_run

YEAR_INTERVALS = 35_136  # quarter hours of a leap year


def year_rows(world: World) -> Iterator[Row]:
    """Project a recorded year from a week, and show how memory grows with the weeks."""
    many = 3 if world.quick else 8
    few = [child("--child-weeks", "1") for _ in range(1 if world.quick else 3)]
    long = child("--child-weeks", str(many))
    plain = Sample((world.plain_step_s * YEAR_INTERVALS,))
    for name, runs in (("a week", few), (f"{many} weeks", [long])):
        year = tuple(
            run["load"] + (run["simulate"] + run["finish"]) * YEAR_INTERVALS / run["intervals"]
            for run in runs
        )
        yield Row(f"a recorded year, projected from {name}", "s", Sample(year), plain,
                  "SimPy + runpp, unrecorded", note="each in a process of its own")  # fmt: skip
    memory = statistics.median(run["memory_mb"] for run in few)
    growth = (long["memory_mb"] - memory) / (many - 1)
    yield Row("peak memory of a recorded week", "MB", Sample((memory,)))
    yield Row(f"peak memory of {many} recorded weeks", "MB", Sample((long["memory_mb"],)),
              note=f"{growth:+.1f} MB a week")  # fmt: skip


def child_weeks(weeks: int) -> dict[str, float]:
    """Run and record some weeks in this process; return seconds and peak memory."""
    begin = time.perf_counter()
    case = load(f"time.days={7 * weeks}")
    loaded = time.perf_counter() - begin
    taken = recorded_run(case)
    return {
        "load": loaded, **taken, "intervals": case.grid.intervals, "memory_mb": peak_memory_mb()
    }  # fmt: skip


def peak_memory_mb() -> float:
    """Return the most memory this process has held.

    Linux's ``ru_maxrss`` begins with what the parent held, so its own high-water mark is read.
    """
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return float(fields["VmHWM"].split()[0]) / 1024.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS counts bytes
