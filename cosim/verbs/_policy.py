"""The deeds of the verb 'policy'."""

from __future__ import annotations

import argparse
import re
import zipfile
from io import BytesIO
from pathlib import Path

from pydantic import ValidationError

import cosim
from cosim.bundle.card import CARD, MODEL, Card, Column
from cosim.bundle.load import checked_bundle, is_archive, load_bundle, put_bundle, read_bundle
from cosim.errors import InputError, Problem
from cosim.record.folder import write_bytes
from cosim.training.bring import bring
from cosim.training.network import Activation
from cosim.training.sb3 import parsed_activation
from cosim.training.wish import Wish
from cosim.verbs._common import columns, warn

#: the bundles that come with the program
SHIPPED = Path(cosim.__file__).resolve().parent.parent / "agents" / "trained"
EPOCH = (1980, 1, 1, 0, 0, 0)


def show(arguments: argparse.Namespace) -> None:
    """Print what a bundle says of itself."""
    print(described(load_bundle(found(arguments.source)).card))


def verify(arguments: argparse.Namespace) -> None:
    """Print every check that holds; the first that does not ends it with code 2."""
    place = found(arguments.source)
    bundle = load_bundle(place, lambda line: print(f"ok  {line}", flush=True))
    print(f"{bundle.card.name} {bundle.card.version} is sound")


def export_bundle(arguments: argparse.Namespace) -> None:
    """Write a checked bundle as an archive or a folder; the same bundle gives the same bytes."""
    source, target = found(arguments.source), arguments.to
    files = read_bundle(source)
    checked_bundle(files, source)
    _check_free(target)
    if is_archive(target):
        write_bytes(target, packed(files))
    else:
        put_bundle(target, files)
    print(target)


def _check_free(target: Path) -> None:
    """Raise InputError where a bundle is to be put in the place of something."""
    taken = target.exists() and not target.is_dir()
    if taken or any((target / name).exists() for name in (CARD, MODEL)):
        raise InputError(Problem(f"'{target}' exists already", remedy="name a place of its own"))


def packed(files: dict[str, bytes]) -> bytes:
    """Return a zip archive of the two files; equal files give equal bytes."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (CARD, MODEL):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
            archive.writestr(entry, files[name])
    return stream.getvalue()


def import_model(arguments: argparse.Namespace) -> None:
    """Write a bundle of a saved model and print what was taken from where."""
    target: Path = arguments.to
    _check_free(target)
    wish = Wish(
        features=_listed(arguments.features),
        actions=_listed(arguments.actions),
        name=_word(arguments.name or target.name),
        interval_s=_interval_s(arguments.interval_minutes),
        agents=_listed(arguments.agents or ""),
        ranges=dict(_range(text) for text in arguments.ranges),
        of_rating=arguments.share_of_rating,
        activation=_activation(arguments.activation),
        trust=arguments.trust,
        gate_lead_s=arguments.gate_lead_seconds,
        version=arguments.policy_version,
        licence=arguments.licence,
        command=arguments.command,
    )
    if arguments.trust:
        warn("--trust: stable-baselines3 runs whatever the files hold")
    try:
        bundle, notes = bring(Path(arguments.source), arguments.normalize, target, wish)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        lines = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in found[:20]]
        remedy = "a card takes plain ASCII of 1 to 2000 characters, and gates at least 1 s ahead"
        raise InputError([Problem(f"no card: {line}", remedy=remedy) for line in lines]) from None
    print("\n".join(notes))
    print(f"{bundle.card.algorithm}, {len(bundle.card.golden)} golden vectors replayed")
    print(target)


def found(text: str) -> Path:
    """Return where a bundle lies: the path itself, else one that comes with the program."""
    place = Path(text)
    shipped = SHIPPED / text
    return shipped if place.name == text and not place.exists() and shipped.is_dir() else place


def _listed(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _word(text: str) -> str:
    """Return a name as cards have it, made of what was given."""
    word = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:64]
    if not re.fullmatch(r"[a-z][a-z0-9_]*", word):
        raise InputError(Problem(f"{text[:64]!a} is no name of a policy", remedy="give --name"))
    return word


def _interval_s(minutes: int) -> int:
    if not 1 <= minutes <= 1440:
        raise InputError(Problem(f"--interval-minutes is {minutes}, not 1 to 1440"))
    return minutes * 60


def _range(text: str) -> tuple[str, tuple[float, float]]:
    name, _, ends = text.partition("=")
    low, mark, high = ends.partition(":")
    try:
        bounds = (float(low), float(high))
    except ValueError:
        bounds = (0.0, 0.0)
    if not (mark and float("-inf") < bounds[0] < bounds[1] < float("inf")):
        raise InputError(Problem(f"--range {text[:80]!a} is not understood",
                                 remedy="write e.g. --range soc=0:1"))  # fmt: skip
    return name.strip(), bounds


def _activation(text: str | None) -> Activation | None:
    try:
        return None if text is None else parsed_activation(text)
    except ValueError as error:
        raise InputError(Problem(f"--activation: {error}")) from None


def described(card: Card) -> str:
    """Return what a card says, for people."""
    training = card.training
    lead = card.timing.gate_lead_s
    rows = [
        ("algorithm", f"{card.algorithm}; {card.framework}"),
        ("licence", card.licence),
        ("scope", f"joint: {', '.join(card.agents)}" if card.agents else "one prosumer at a time"),
        ("market", f"intervals of {card.timing.interval_s} s"
         + (f", gates {lead} s ahead" if lead else "")),
        ("remembers", ", ".join(f"{s.name} [{s.width}]" for s in card.states) or "nothing"),
        ("trained", f"{training.steps} decisions, seeds {_numbers(training.seeds)}"),
        ("scenario", training.scenario or "not known"),
        ("again", training.command),
        ("supervised", "yes" if card.supervision else "no"),
        ("model", f"{card.model.size_bytes} bytes, sha256 {card.model.sha256}"),
    ]  # fmt: skip
    head = f"{card.name} {card.version}\n{columns(rows, indent=2)}"
    tables = [("sees", card.features), ("decides", card.actions)]
    parts = [head, *(f"{what}\n{columns(_table(part), indent=2)}" for what, part in tables)]
    return "\n".join([*parts, *_judged(card)])


def _numbers(values: tuple[int, ...]) -> str:
    return ", ".join(map(str, values)) or "not known"


def _table(listed: tuple[Column, ...]) -> list[tuple[str, str, str, str]]:
    return [(c.name, c.unit, f"{c.low:g} to {c.high:g}", c.meaning) for c in listed]


def _judged(card: Card) -> list[str]:
    """Return the lines on how the policy was judged."""
    record = card.evaluation
    if record is None:
        return ["not judged: no evaluation in the card"]
    lines = ["judged", f"  {record.measured}"]
    for figure in record.figures:
        values = ", ".join(f"{name} {value:g}" for name, value in figure.values.items())
        lines.append(f"  {figure.period}; {figure.measure} [{figure.unit}]: {values}")
    if record.foresight:
        regret, share = record.foresight.regret_eur_per_day, record.foresight.captured
        lines.append(f"  regret to perfect foresight {regret.value:g} EUR/day "
                     f"({regret.low:g} to {regret.high:g})")  # fmt: skip
        if share:
            lines.append(f"  captured {share.value:.0%} ({share.low:.0%} to {share.high:.0%})")
    return [*lines, *(f"  mind: {line}" for line in record.caveats)]
