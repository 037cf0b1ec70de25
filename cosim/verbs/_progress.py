"""The progress bar: simulated time, rate and time left; only on a terminal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cosim.timegrid import TimeGrid

REFRESH_S = 0.2


@dataclass
class Ticker:
    """How far a run is: the simulation writes the second, the bar reads it."""

    grid: TimeGrid
    second: int = 0

    @property
    def clock(self) -> str:
        """Civil time of the simulation."""
        return self.grid.utc(self.second).astimezone(self.grid.zone).strftime("%Y-%m-%d %H:%M")

    @property
    def intervals(self) -> int:
        """Intervals that are settled."""
        return self.second // self.grid.interval_s


@contextmanager
def bar(name: str, tick: Ticker, quiet: bool) -> Iterator[None]:
    """Show a bar on stderr while the block runs, drawn by a thread of its own."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    over = threading.Event()
    drawer = threading.Thread(target=_draw, args=(name, tick, over), daemon=True)
    drawer.start()
    try:
        yield
    finally:
        over.set()
        drawer.join()


def _draw(name: str, tick: Ticker, over: threading.Event) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    progress = Progress(
        TextColumn(name),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[clock]}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(stderr=True),
        transient=True,
    )
    with progress:
        task = progress.add_task(name, total=tick.grid.intervals, clock=tick.clock, rate="")
        while not over.wait(REFRESH_S):
            speed = progress.tasks[0].speed
            rate = f"{speed:.0f} intervals/s" if speed else ""
            progress.update(task, completed=tick.intervals, clock=tick.clock, rate=rate)


@contextmanager
def counted(name: str, total: int, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Show a bar of things done on stderr; the block is given what to tell their number to.

    It draws when it is told, without a thread: the block may fork.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(name), BarColumn(bar_width=20), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        task = progress.add_task(name, total=total)

        def told(done: int) -> None:
            progress.update(task, completed=done, refresh=True)

        told(0)
        yield told
