"""What can go wrong, sorted by who must act: scenario author, plug-in author, physics, disk.

Every error says what, where, why and the remedy; the verbs print it without a traceback
and end with its exit code.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MOST_LISTED = 20  # names in one remedy


@dataclass(frozen=True)
class Problem:
    """One mistake in the input: where it is, what it is, and how to mend it.

    ``where`` is ``file:line:column`` or a file with its row and column; empty when unknown.
    """

    what: str
    where: str = ""
    why: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.why:
            text += f"\n    why: {self.why}"
        if self.remedy:
            text += f"\n    remedy: {self.remedy}"
        return text


class CosimError(Exception):
    """Base of every error the verbs turn into a message and an exit code."""

    exit_code = 3


class InputError(CosimError):
    """The user's input is wrong; carries every problem found, not only the first."""

    exit_code = 2

    def __init__(self, problems: Problem | Sequence[Problem] | str) -> None:
        if isinstance(problems, str):
            problems = Problem(problems)
        self.problems: tuple[Problem, ...] = (
            (problems,) if isinstance(problems, Problem) else tuple(problems)
        )
        super().__init__("\n".join(str(problem) for problem in self.problems))


class PluginError(CosimError):
    """A plug-in broke its contract; its author must act."""

    exit_code = 3


class RunError(CosimError):
    """The run itself failed."""

    exit_code = 3


class OutputError(CosimError):
    """Results cannot be written (full disk, no permission, folder in use)."""

    exit_code = 74


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a remedy naming the closest known word, or the known words when none is close."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if len(word) > 2:
        close += [name for name in names if name.startswith(word)]
    if close:
        return f"did you mean '{close[0]}'?"
    more = f", ... ({len(names)} in all)" if len(names) > MOST_LISTED else ""
    return "known: " + ", ".join(names[:MOST_LISTED]) + more if names else ""
