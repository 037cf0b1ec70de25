"""Pickles read without running them: every object becomes a record of how it would be made.

The instructions are decoded by the standard library's disassembler and carried out on values of our
own, so no class is looked up, nothing is imported and nothing is called.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MOST_STEPS = 1_000_000
#: packages whose objects a file of statistics may name; anything else is a reason to refuse it
FAMILIAR = {"numpy", "gymnasium", "gym", "stable_baselines3", "collections"}
_MARK = object()


@dataclass(eq=False)
class Inert:
    """An object that was not made: what would be called, with what, and the state it would get."""

    name: str
    arguments: tuple[Any, ...] = ()
    state: Any = None
    items: dict[str, Any] = field(default_factory=dict)


def read_pickle(data: bytes) -> Any:
    """Return what a pickle describes, with records in place of objects.

    Raises ValueError for instructions it does not need, names outside the familiar packages, and
    whatever is malformed.
    """
    machine = _Machine()
    try:
        for step, (code, argument, _) in enumerate(pickletools.genops(data)):
            if step > MOST_STEPS:
                raise ValueError(f"has more than {MOST_STEPS} instructions")
            if code.name == "STOP":
                return machine.stack[-1]
            machine.do(code.name, argument)
    except ValueError:
        raise
    except Exception as error:  # whatever malformed instructions do to a reader, they are refused
        raise ValueError(f"is malformed ({type(error).__name__})") from None
    raise ValueError("has no end")


class _Machine:
    """The stack and the memo of a pickle; only what plain data need is carried out."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def do(self, name: str, argument: Any) -> None:
        """Carry out one instruction."""
        if name in _IGNORED:
            return
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _STEPS:
            _STEPS[name](self, argument)
        else:
            raise ValueError(f"has the instruction {name}, which plain data do not need")

    def since_mark(self) -> list[Any]:
        """Take what lies above the topmost mark."""
        place = len(self.stack) - 1
        while self.stack[place] is not _MARK:  # below the last value: IndexError
            place -= 1
        taken = self.stack[place + 1 :]
        del self.stack[place:]
        return taken

    def take(self, count: int) -> tuple[Any, ...]:
        """Take the topmost values."""
        if count > len(self.stack):
            raise ValueError("takes more than there is")
        taken = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        return taken


def _name(machine: _Machine, module: Any, name: Any) -> None:
    if not isinstance(module, str) or not isinstance(name, str):
        raise ValueError("names an object by something that is no text")
    if module.partition(".")[0] not in FAMILIAR:
        raise ValueError(f"names {f'{module}.{name}'[:80]!a}, which such a file does not need")
    machine.stack.append(Inert(f"{module}.{name}"))


def _made(machine: _Machine) -> None:
    target, arguments = machine.take(2)
    if not isinstance(target, Inert) or not isinstance(arguments, tuple):
        raise ValueError("makes something of what is no class")
    machine.stack.append(Inert(target.name, arguments))


def _built(machine: _Machine) -> None:
    (state,) = machine.take(1)
    target = machine.stack[-1]
    if not isinstance(target, Inert):
        raise ValueError("gives a state to what is no object")
    target.state = state


def _set(machine: _Machine, pairs: list[Any]) -> None:
    target = machine.stack[-1]
    held = target.items if isinstance(target, Inert) else target
    if not isinstance(held, dict) or len(pairs) % 2:
        raise ValueError("puts entries into what is no mapping")
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        if not isinstance(key, str | int):
            raise ValueError("has a key that is neither text nor number")
        held[key] = value  # type: ignore[index]


def _extend(machine: _Machine, values: list[Any]) -> None:
    target = machine.stack[-1]
    if not isinstance(target, list):
        raise ValueError("appends to what is no list")
    target.extend(values)


_IGNORED = {"PROTO", "FRAME"}
_LITERALS = {
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT",
}  # fmt: skip
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "MARK": lambda: _MARK,
}
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "MEMOIZE": lambda m, _: m.memo.__setitem__(len(m.memo), m.stack[-1]),
    "BINPUT": lambda m, place: m.memo.__setitem__(place, m.stack[-1]),
    "LONG_BINPUT": lambda m, place: m.memo.__setitem__(place, m.stack[-1]),
    "BINGET": lambda m, place: m.stack.append(m.memo[place]),
    "LONG_BINGET": lambda m, place: m.stack.append(m.memo[place]),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.since_mark())),
    "TUPLE1": lambda m, _: m.stack.append(m.take(1)),
    "TUPLE2": lambda m, _: m.stack.append(m.take(2)),
    "TUPLE3": lambda m, _: m.stack.append(m.take(3)),
    "SETITEM": lambda m, _: _set(m, list(m.take(2))),
    "SETITEMS": lambda m, _: _set(m, m.since_mark()),
    "APPEND": lambda m, _: _extend(m, list(m.take(1))),
    "APPENDS": lambda m, _: _extend(m, m.since_mark()),
    "GLOBAL": lambda m, words: _name(m, *words.split(" ", 1)),
    "STACK_GLOBAL": lambda m, _: _name(m, *m.take(2)),
    "REDUCE": lambda m, _: _made(m),
    "NEWOBJ": lambda m, _: _made(m),
    "BUILD": lambda m, _: _built(m),
}


def as_array(value: Any) -> np.ndarray:
    """Return the float64 vector that a record describes; raise ValueError when it is none.

    A plain number, a numpy scalar and an array of floats or integers are known.
    """
    if isinstance(value, int | float):
        return np.array([float(value)])
    if not isinstance(value, Inert):
        raise ValueError("is no array")
    kind = value.name.rpartition(".")[2]
    if kind == "_reconstruct" and isinstance(value.state, tuple) and len(value.state) == 5:
        _, shape, kind_of, _, data = value.state
    elif kind == "_frombuffer" and len(value.arguments) == 4:
        data, kind_of, shape, _ = value.arguments
    elif kind == "scalar" and len(value.arguments) == 2:
        (kind_of, data), shape = value.arguments, (1,)
    else:
        raise ValueError(f"is no array but {value.name[:80]!a}")
    numbers = np.frombuffer(_bytes(data), _dtype(kind_of))
    if not isinstance(shape, tuple) or shape not in [(), (len(numbers),)]:
        raise ValueError("is no array of one axis")
    return numbers.astype(np.float64)


def _bytes(data: Any) -> bytes:
    if not isinstance(data, bytes):
        raise ValueError("is an array without its bytes")
    return data


def _dtype(record: Any) -> np.dtype[Any]:
    """Return the little-endian float or integer type a record names."""
    code = record.arguments[0] if isinstance(record, Inert) and record.arguments else None
    order = (
        record.state[1] if isinstance(record, Inert) and isinstance(record.state, tuple) else "<"
    )
    if code not in ["f4", "f8", "i4", "i8"] or order != "<":
        raise ValueError("is an array of something else than plain numbers")
    return np.dtype(f"<{code}")
