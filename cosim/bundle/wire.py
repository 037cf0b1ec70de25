"""Counting the fields of a protobuf message before a parser makes objects of them."""

from __future__ import annotations

from typing import Any

#: a graph of as many nodes and constants as are allowed, with every attribute, has below 15 000
MOST_FIELDS = 40_000
_DEEPEST = 32
_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5


def fields_within(data: bytes, descriptor: Any, most: int = MOST_FIELDS) -> int:
    """Return how many fields a message and all messages in it have.

    An empty message costs two bytes in a file and hundreds in memory. Raises ValueError as soon as
    there are more than ``most``, and for bytes that are no message.
    """
    return _counted(memoryview(data), descriptor, 0, most, 0)


def _counted(data: memoryview, descriptor: Any, count: int, most: int, depth: int) -> int:
    if depth > _DEEPEST:
        raise ValueError("is nested too deeply")
    known, at = descriptor.fields_by_number, 0
    while at < len(data):
        count += 1
        if count > most:
            raise ValueError(f"has more than {most} fields")
        tag, at = _number(data, at)
        value, at = _skipped(data, at, tag & 7)
        field = known.get(tag >> 3)
        if value is not None and field is not None and field.message_type is not None:
            count = _counted(value, field.message_type, count, most, depth + 1)
    return count


def _skipped(data: memoryview, at: int, kind: int) -> tuple[memoryview | None, int]:
    """Return the bytes of a field of bytes, and where the next field begins."""
    if kind == _VARINT:
        return None, _number(data, at)[1]
    if kind == _LENGTH:
        size, at = _number(data, at)
    elif kind in (_EIGHT, _FOUR):
        size = 8 if kind == _EIGHT else 4
    else:
        raise ValueError(f"has a field of the kind {kind}")
    if at + size > len(data):
        raise ValueError("ends within a field")
    return (data[at : at + size] if kind == _LENGTH else None), at + size


def _number(data: memoryview, at: int) -> tuple[int, int]:
    """Return a number of 1 to 10 bytes, and where the next one begins."""
    value = 0
    for place in range(10):
        if at + place >= len(data):
            raise ValueError("ends within a number")
        byte = data[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError("has a number without an end")
