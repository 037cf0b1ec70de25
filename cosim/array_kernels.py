"""Compiled functions over arrays, kept in the compiler's disk cache, one process at a time.

The compiler keeps a function and its loop over arrays in two files. Two processes that compile
the same new source at once may leave files that do not belong together, and every later process
would crash on them: so they take turns.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numba


def guvectorize(signatures: Sequence[str], layout: str) -> Callable[[Any], Any]:
    """Return a decorator that compiles a function of cores of arrays; see numba's own."""

    def compiled(function: Any) -> Any:
        with _alone():
            return numba.guvectorize(list(signatures), layout, cache=True)(function)

    return compiled


def vectorize(signatures: Sequence[str]) -> Callable[[Any], Any]:
    """Return a decorator that compiles a function of scalars; see numba's own."""

    def compiled(function: Any) -> Any:
        with _alone():
            return numba.vectorize(list(signatures), cache=True)(function)

    return compiled


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the user's lock; where there are no locks, or nowhere to put one, go on without."""
    file = _locked()
    try:
        yield
    finally:
        if file is not None:
            file.close()


def _locked() -> IO[str] | None:
    with suppress(ImportError, OSError):
        import fcntl

        path = Path(tempfile.gettempdir()) / f"cosim-compiles-{os.getuid()}.lock"
        file = path.open("a")
        fcntl.flock(file, fcntl.LOCK_EX)
        return file
    return None
