"""Putting what a supervisor needs into the card of a bundle."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pydantic import ValidationError

from cosim.bundle.card import CARD, CARD_CAP, MODEL, names
from cosim.bundle.load import Bundle, is_archive, load_bundle, read_bundle
from cosim.bundle.parts import Supervision
from cosim.errors import InputError, OutputError, Problem
from cosim.supervision import Supervision as Found
from cosim.supervision import problems_with


def write_supervision(place: Path, found: Found) -> Bundle:
    """Write statistics into the card of the bundle in a folder; the rest of it stays.

    Raises InputError where they are not of this policy, OutputError where nothing can be written.
    """
    if is_archive(place):
        remedy = "unpack it first: cosim policy export ARCHIVE --to FOLDER"
        raise InputError(Problem("is an archive, whose card cannot be changed", str(place),
                                 remedy=remedy))  # fmt: skip
    card = load_bundle(place).card
    wrong = problems_with(found, names(card.features), card.timing.interval_s)
    if wrong:
        raise InputError(wrong)
    try:
        section = Supervision.model_validate(found.model_dump(exclude={"interval_s"}))
        text = card.model_copy(update={"supervision": section}).model_dump_json(indent=1) + "\n"
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InputError(Problem(f"a card cannot hold this: {first['msg']}", str(place))) from None
    if len(text) > CARD_CAP:
        what = f"the card would be larger than {CARD_CAP} bytes"
        raise InputError(Problem(what, str(place), remedy="take fewer parts of the day: --blocks"))
    _replace(place, {MODEL: read_bundle(place)[MODEL], CARD: text.encode()})
    return load_bundle(place)


def _replace(place: Path, content: dict[str, bytes]) -> None:
    """Put a new card in its place, when the bundle has passed every check with it."""
    try:
        with tempfile.TemporaryDirectory(dir=place, prefix=".bundle-") as trial:
            for name, data in content.items():
                (Path(trial) / name).write_bytes(data)
            load_bundle(Path(trial))
            os.replace(Path(trial) / CARD, place / CARD)
    except OSError as error:
        raise OutputError(f"cannot write '{place}': {error.strerror}") from None
