"""A run from the command line: phases, progress, interruption, and what is said at the end."""

from __future__ import annotations

import argparse
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from cosim.case import Case
from cosim.glossary import KPIS
from cosim.markets.base import Market
from cosim.record import RunRecorder, RunSummary, new_run_folder
from cosim.scenario import LoadedScenario
from cosim.sections import Expectation
from cosim.simulation import Simulation
from cosim.verbs import _screen
from cosim.verbs._common import load, ready, take_plugins, warn
from cosim.verbs._doubts import doubts
from cosim.verbs._progress import Ticker, bar

DONE, MISSED, INTERRUPTED = 0, 1, 130
VARIANTS = "variants"  # folder of the variants in that of the run


@dataclass
class Interruption:
    """Whether the user pressed Ctrl-C; the second time does not wait for the step to end."""

    asked: bool = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Note the signal."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


@dataclass
class Say:
    """Prints one line for each phase, unless it is to be quiet."""

    quiet: bool

    def __call__(self, phase: str, text: str) -> None:
        """Print a line."""
        if not self.quiet:
            print(f"{phase:<9} {text}", flush=True)


def run_scenario(arguments: argparse.Namespace) -> int:
    """Run a scenario with its variants; return the exit code."""
    say = Say(arguments.quiet)
    take_plugins(arguments.plugins)
    began = time.monotonic()
    loaded = load(arguments.scenario, overrides(arguments))
    cases = {loaded.scenario.name: ready(loaded)}
    for name in loaded.scenario.variants:
        cases[name] = ready(loaded.variant(name))
    main = next(iter(cases.values()))
    say("loaded", _screen.loaded_line(main, time.monotonic() - began))
    for text in doubts(main):
        warn(text)
    folder = new_run_folder(arguments.out, loaded.scenario.name)
    outcomes: dict[str, RunSummary] = {}
    with interruption() as asked:
        for index, (name, case) in enumerate(cases.items()):
            if asked.asked:
                print(
                    f"interrupted before {name}; complete: {', '.join(outcomes)}\n{folder}",
                    file=sys.stderr,
                )
                return INTERRUPTED
            place = folder if index == 0 else _variant_folder(folder, name)
            outcome = _simulated(case, name, place, say, asked)
            if outcome is None:
                return INTERRUPTED
            outcomes[name] = outcome
    places = [folder, *(folder / VARIANTS / name for name in list(outcomes)[1:])]
    pictures = [] if arguments.no_figures else _draw(places, say)
    markets = {name: case.market for name, case in cases.items()}
    return _conclude(loaded, outcomes, markets, folder, pictures, say)


def overrides(arguments: argparse.Namespace) -> list[str]:
    """Return what was set on the command line, the seed last."""
    seed = [] if arguments.seed is None else [f"seed={arguments.seed}"]
    return [*arguments.overrides, *seed]


@contextmanager
def interruption() -> Iterator[Interruption]:
    """Let Ctrl-C be noted, and acted on when the step has ended."""
    asked = Interruption()
    try:
        before = signal.signal(signal.SIGINT, asked)
    except ValueError:  # not the main thread: whoever owns it deals with Ctrl-C
        yield asked
        return
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def _variant_folder(folder: Path, name: str) -> Path:
    place = folder / VARIANTS / name
    place.mkdir(parents=True)
    return place


def _simulated(
    case: Case, name: str, folder: Path, say: Say, asked: Interruption
) -> RunSummary | None:
    """Run one case into its folder; return None when it was interrupted."""
    recorder = RunRecorder(case, folder, latest=folder.parent.name != VARIANTS)
    tick = Ticker(case.grid)
    began = time.monotonic()
    try:
        with bar(name, tick, say.quiet):
            books = Simulation(case, recorder).run(_watched(tick, asked))
        seconds = time.monotonic() - began
        outcome = recorder.finish(books, {"simulate": seconds})
    except KeyboardInterrupt:
        recorder.abort("interrupted")
        print(_screen.interrupted_line(name, tick, folder), file=sys.stderr)
        return None
    except BaseException as error:
        recorder.abort(f"{type(error).__name__}: {error}"[:300])
        print(f"{name}: what was complete before is kept in {folder}", file=sys.stderr)
        raise
    say("simulated", _screen.simulated_line(case, name, seconds))
    if line := _screen.supervised_line(case, outcome):
        say("watched", line)
    return outcome


def _watched(tick: Ticker, asked: Interruption) -> Callable[[int], None]:
    """Return the function told of each METER: it counts, and stops where it was asked to."""

    def told(second: int) -> None:
        tick.second = second
        if asked.asked:
            raise KeyboardInterrupt

    return told


def _draw(folders: Sequence[Path], say: Say) -> list[Path]:
    from cosim.report.figures import draw_figures

    began, drawn = time.monotonic(), list[Path]()
    for folder in folders:
        try:
            drawn += draw_figures(folder)
        except Exception:
            print(f"the figures failed; the results are complete in {folder}", file=sys.stderr)
            raise
    say("drawn", f"{len(drawn)} figures ({time.monotonic() - began:.1f} s)")
    return drawn


def _conclude(
    loaded: LoadedScenario,
    outcomes: dict[str, RunSummary],
    markets: Mapping[str, Market],
    folder: Path,
    pictures: Sequence[Path],
    say: Say,
) -> int:
    """Print the key figures, the paths and the missed expectations; return the exit code."""
    if not say.quiet:
        _screen.print_kpis(outcomes)
    for text in _screen.remarks(outcomes, markets):
        warn(text)
    if pictures and not say.quiet:
        print("\n".join(str(picture) for picture in sorted(pictures)))
    print(folder)
    misses = []
    for index, (name, outcome) in enumerate(outcomes.items()):
        overlay = loaded.source.tree["variants"][name] if index else loaded.source.tree
        if "expect" in overlay:  # a variant answers for its own expectations only
            own = loaded.variant(name).scenario if index else loaded.scenario
            misses += [f"{name}: {text}" for text in missed(own.expect, outcome.kpis)]
    if misses:
        print("expectations missed:\n  " + "\n  ".join(misses), file=sys.stderr)
    return MISSED if misses else DONE


def missed(expectations: Sequence[Expectation], kpis: Mapping[str, float]) -> list[str]:
    """Return the expectations that do not hold; a figure that was not measured misses."""
    found = []
    for item in expectations:
        value, unit = kpis[item.kpi], KPIS[item.kpi].unit
        bounds = [f"at least {item.min:g}"] if item.min is not None else []
        bounds += [f"at most {item.max:g}"] if item.max is not None else []
        low = -math.inf if item.min is None else item.min
        high = math.inf if item.max is None else item.max
        if not low <= value <= high:
            got = "not measured" if math.isnan(value) else f"{value:.6g}"
            found.append(f"{item.kpi} is {got}, expected {' and '.join(bounds)} {unit}".rstrip())
    return found
