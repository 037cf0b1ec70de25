"""The command line: ``python -m cosim VERB``. Parsing and printing only.

Exit codes: 0 done, 1 an ``expect:`` block missed, 2 the input is wrong, 3 the run failed,
74 results cannot be written, 130 interrupted.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from types import ModuleType

from cosim import verbs
from cosim.errors import CosimError, OutputError, did_you_mean
from cosim.verbs._parser import Parser

INTERNAL, CANNOT_WRITE, INTERRUPTED, BROKEN_PIPE = 3, 74, 130, 141
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb and return its exit code; errors become a message on stderr."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    _fill_closed_streams()
    try:
        code = _dispatch(words)
        sys.stdout.flush()
        return code
    except SystemExit as stop:  # argparse: --help and wrong options
        return stop.code if isinstance(stop.code, int) else 2
    except BrokenPipeError:
        _drop_stdout()
        return BROKEN_PIPE
    except (Exception, KeyboardInterrupt) as error:
        if "--debug" in words:
            traceback.print_exc()
        message, code = _explained(error)
        print(message, file=sys.stderr)
        with contextlib.suppress(Exception):  # what is left of the output may fail once more
            sys.stdout.flush()
            return code
        _drop_stdout()
        return code


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in {"-h", "--help", "help"}:
        print(_overview())
        return 0
    name, rest = words[0], words[1:]
    if name == "--version":
        from importlib.metadata import version

        print(f"cosim {version('cosim')}")
        return 0
    if name not in verbs.names():
        hint = did_you_mean(name, verbs.names())
        print(f"unknown verb {name!r}; {hint}", file=sys.stderr)
        return 2
    verb = verbs.load(name)
    return int(verb.run(_parser(name, verb).parse_args(rest)))


def _parser(name: str, verb: ModuleType) -> Parser:
    parser = Parser(prog=f"python -m cosim {name}", description=verb.__doc__)
    verb.add_arguments(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _overview() -> str:
    lines = [f"  {name:<16} {verbs.summary(name)}" for name in verbs.names()]
    head = "usage: python -m cosim VERB ...\n\nLocal energy markets on a real feeder.\n\nverbs:\n"
    return head + "\n".join(lines) + "\n\n'python -m cosim VERB --help' describes a verb."


def _explained(error: BaseException) -> tuple[str, int]:
    """Return what to say about an error, and the exit code."""
    stopped = any(isinstance(each, KeyboardInterrupt) for each in _led_to(error))
    if stopped and not isinstance(error, OutputError):
        return "interrupted", INTERRUPTED
    if isinstance(error, CosimError):
        return str(error), error.exit_code
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        place = f" '{error.filename}'" if error.filename else ""
        return f"cannot write{place}: {error.strerror}", CANNOT_WRITE
    words = " ".join(str(error).split())[:300]
    text = f"{type(error).__name__}: {words}" if words else type(error).__name__
    return f"internal error ({text}); run with --debug for the traceback", INTERNAL


def _led_to(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that it was raised from or after.

    Ctrl-C while a library is imported comes out of it as whatever the library makes of it.
    """
    seen: set[int] = set()
    now: BaseException | None = error
    while now is not None and id(now) not in seen:
        seen.add(id(now))
        yield now
        now = now.__cause__ or now.__context__


def _fill_closed_streams() -> None:
    """Point what was closed before the program began at nothing.

    Else the first files opened would take the numbers of the streams, and what libraries print
    would end up in results.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the whole process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the whole process


def _drop_stdout() -> None:
    """Point stdout at nothing, so that closing it at exit stays quiet."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
