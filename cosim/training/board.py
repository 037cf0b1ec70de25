"""Where a learner's figures go: nowhere, or to TensorBoard at the steps of the learning curve.

The library would make a folder of its own in the system's temporary folder for every learner.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import KVWriter, Logger

from cosim.errors import OutputError


class Board(KVWriter):
    """Writes scalars as TensorBoard's events into a folder.

    What earlier event files of the folder hold at steps from ``begin`` on is told to be void, so
    that a training that goes on from a checkpoint draws one curve. Raises OutputError where there
    can be no such folder.
    """

    def __init__(self, folder: Path, begin: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        try:
            folder.mkdir(parents=True, exist_ok=True)
            _outlast(folder)
            self._writer = SummaryWriter(str(folder), purge_step=begin)
        except OSError as error:
            raise OutputError(f"cannot write '{folder}': {error.strerror}") from None

    def write(
        self,
        key_values: dict[str, Any],
        key_excluded: dict[str, tuple[str, ...]],
        step: int = 0,
    ) -> None:
        """Write what was recorded, and see it on the disk: a kill may come at any moment."""
        for name, value in key_values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


def _outlast(folder: Path) -> None:
    """Wait while a new event file would have the same second in its name as one of the folder.

    TensorBoard reads files in the order of their names, and within a second that is not the order
    in which they were begun.
    """
    while any(folder.glob(f"events.out.tfevents.{int(time.time()):010d}.*")):
        time.sleep(0.05)


def logger_of(folder: Path | None, begin: int = 0) -> Logger:
    """Return what a learner logs to: a :class:`Board`, without a folder nothing at all."""
    return Logger(None, [] if folder is None else [Board(folder, begin)])
