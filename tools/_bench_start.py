"""Start-up: processes from their start, to the first settled interval and to the end of a day."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tools._bench_common import ROOT, SCENARIO, Row, Sample, World, child, load, run_python, sampled

HELP_GOAL_S, FIRST_INTERVAL_GOAL_S = 0.3, 2.0


def start_rows(world: World) -> Iterator[Row]:
    """Measure processes from their start, caches warm."""
    repeats = 3 if world.quick else 5
    name = str(SCENARIO.relative_to(ROOT))

    def wall(*arguments: str, repeats: int = repeats) -> Sample:
        return sampled(lambda: run_python(*arguments), repeats)

    yield Row("python -m cosim --help", "s", wall("-m", "cosim", "--help"), wall("-c", "pass"),
              "python -c pass", HELP_GOAL_S)  # fmt: skip
    imports = wall("-c", "import simpy, pandapower", repeats=3)
    child("--child-first", "0")
    first = Sample(tuple(
        child("--child-first", repr(time.time()))["seconds"] for _ in range(repeats)
    ))  # fmt: skip
    yield Row("process start to first interval settled", "s", first, imports,
              "import simpy, pandapower", FIRST_INTERVAL_GOAL_S)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        run = ("-m", "cosim", "run", name, "--quiet", "--out", folder)
        yield Row("python -m cosim run, a day, no figures", "s", wall(*run, "--no-figures"))
        yield Row("python -m cosim run, a day, with figures", "s", wall(*run, repeats=2))


def child_first(began: float) -> dict[str, float]:
    """Return the seconds from ``began`` to the first settled interval of a recorded run."""
    from cosim.record import RunRecorder
    from cosim.simulation import Simulation

    case = load()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "run"
        place.mkdir()
        recorder = RunRecorder(case, place, latest=False)
        settled: list[float] = []

        def stop(second: int) -> None:
            settled.append(time.time())
            raise KeyboardInterrupt

        try:
            Simulation(case, recorder).run(stop)
        except KeyboardInterrupt:
            recorder.abort()
    return {"seconds": settled[0] - began}
