"""Putting what a supervisor needs into the card of a bundle."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from cosim.bundle.card import CARD, CARD_CAP, MODEL, names
from cosim.bundle.load import Bundle, is_archive, load_bundle, put_bundle, read_bundle
from cosim.bundle.parts import Supervision
from cosim.errors import InputError, Problem
from cosim.supervision import Supervision as Found
from cosim.supervision import problems_with


def write_supervision(place: Path, found: Found) -> Bundle:
    """Write statistics into the card of the bundle in a folder; the rest of it stays.

    Raises InputError where they are not of this policy, OutputError where nothing can be written.
    """
    card = checked_place(place).card
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
    return put_bundle(place, {MODEL: read_bundle(place)[MODEL], CARD: text.encode()})


def checked_place(place: Path) -> Bundle:
    """Return the bundle in a folder; refuse an archive."""
    if is_archive(place):
        remedy = "unpack it first: cosim policy export ARCHIVE --to FOLDER"
        what = "is an archive, whose card cannot be changed"
        raise InputError(Problem(what, str(place), remedy=remedy))
    return load_bundle(place)
