"""Loading a bundle: a border that executes and follows nothing, and refuses what does not fit."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from cosim.bundle.behaviour import TOLERANCE, behaviour_problems
from cosim.bundle.card import (
    CARD,
    CARD_CAP,
    MODEL,
    MODEL_CAP,
    Card,
    catalogue_problems,
    names,
)
from cosim.bundle.files import read_file, read_zip, shown
from cosim.bundle.graph import checked_graph
from cosim.bundle.strict_json import strict_json
from cosim.errors import InputError, OutputError, Problem


@dataclass(frozen=True, eq=False)
class Bundle:
    """A checked policy, ready to act."""

    card: Card
    session: Any  # onnxruntime.InferenceSession

    @property
    def files(self) -> tuple[tuple[str, str], ...]:
        """The graph's file and its SHA-256, for the record of a run."""
        return ((f"{self.card.name}/{MODEL}", self.card.model.sha256),)

    @property
    def features(self) -> tuple[str, ...]:
        """The columns of an observation."""
        return names(self.card.features)

    @property
    def actions(self) -> tuple[str, ...]:
        """The columns of a decision."""
        return names(self.card.actions)

    def start(self, count: int) -> np.ndarray | None:
        """Return the memory before the first decision ``[count, width]``, None without any."""
        width = sum(state.width for state in self.card.states)
        return np.zeros((count, width)) if width else None

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Map observations ``[m, d]`` to decisions ``[m, a]`` of a policy at its start."""
        return self.step(observations, self.start(len(observations)))[0]

    def step(
        self, observations: np.ndarray, memory: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Map ``[m, d]`` and memory ``[m, width]`` to ``[m, a]`` and new memory; float32 inside.

        A row that is not finite, or beyond float32, leads to a row that may not be finite; the
        guard rejects it. What such a row would remember is forgotten: its memory starts anew.
        """
        states = self.card.states
        with np.errstate(over="ignore"):
            feed = {"observation": observations.astype(np.float32)}
        if memory is not None:
            cuts = np.cumsum([state.width for state in states])[:-1]
            parts = np.split(memory.astype(np.float32), cuts, axis=1)
            feed |= {state.name: part for state, part in zip(states, parts, strict=True)}
        actions, *after = self.session.run(("action", *(state.after for state in states)), feed)
        decided = np.asarray(actions, np.float64)
        if memory is None:
            return decided, None
        kept = np.concatenate(after, axis=1).astype(np.float64)
        return decided, np.where(np.isfinite(kept).all(axis=1, keepdims=True), kept, 0.0)


def _unheard(line: str) -> None:
    """Take a line of report that nobody asked for."""


def load_bundle(place: Path, told: Callable[[str], None] = _unheard) -> Bundle:
    """Read and check a bundle, a folder or a zip archive of its two files.

    Every check that holds is told in a line; raises InputError naming what does not fit and how to
    mend it.
    """
    return checked_bundle(read_bundle(place), place, told)


def checked_bundle(
    files: dict[str, bytes], place: Path, told: Callable[[str], None] = _unheard
) -> Bundle:
    """Check the bytes of a bundle's two files, which are from ``place`` or about to be put there.

    Raises InputError as :func:`load_bundle` does.
    """
    where, model = place / CARD, place / MODEL
    for path, cap in ((where, CARD_CAP), (model, MODEL_CAP)):
        if len(files[path.name]) > cap:
            raise InputError(Problem(f"is larger than {cap} bytes", shown(path)))
    card = _parse_card(files[CARD], where)
    told(f"{CARD}: every field is there and within its bounds, no other, no key twice")
    _refuse(catalogue_problems(card), where, card)
    told("names, units, meanings, ranges and clock are those of this program")
    _refuse(_hash_problems(card, files[MODEL]), model, card)
    told(f"{MODEL}: {len(files[MODEL])} bytes, sha256 {card.model.sha256}")
    graph, problems = checked_graph(files[MODEL], card)
    _refuse(problems, model, card)
    told("graph: allowed operators only, finite constants, no files, inputs and outputs as said")
    bundle = Bundle(card, _session(graph, card, model))
    _refuse(behaviour_problems(card, bundle.step, bundle.start), model, card)
    told(f"{len(card.golden)} golden vectors replayed, together and alone, to {TOLERANCE:g}")
    told("actions stay in their range within the range of training")
    return bundle


def read_bundle(place: Path) -> dict[str, bytes]:
    """Return the two files of a bundle."""
    remedy = f"name a folder, or a zip archive, that holds {CARD} and {MODEL}"
    caps = {CARD: CARD_CAP, MODEL: MODEL_CAP}
    if not is_archive(place):
        return {name: read_file(place / name, cap, remedy) for name, cap in caps.items()}
    found = read_zip(read_file(place, sum(caps.values()) + (1 << 16), remedy), place, caps)
    missing = [
        Problem(f"holds no {n}", shown(place), remedy=remedy) for n in caps if n not in found
    ]
    if missing:
        raise InputError(missing)
    return found


def put_bundle(folder: Path, files: dict[str, bytes]) -> Bundle:
    """Put two files that pass every check into a folder, the card last; return the bundle.

    Raises InputError where they do not, OutputError where the folder cannot be written; what was
    there before is then left as it was, and a folder that was not there is not made.
    """
    try:
        bundle = checked_bundle(files, folder)
    except InputError as error:  # there is nothing yet that could be trained again
        raise InputError([replace(problem, remedy="") for problem in error.problems]) from None
    made: list[Path] = []
    try:
        made = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".bundle-") as trial:
            for name in (MODEL, CARD):
                (Path(trial) / name).write_bytes(files[name])
            for name in (MODEL, CARD):
                os.replace(Path(trial) / name, folder / name)
    except OSError as error:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise OutputError(f"cannot write '{folder}': {error.strerror}") from None
    return bundle


def is_archive(place: Path) -> bool:
    """Return whether a bundle is meant as an archive rather than as a folder."""
    return place.suffix.lower() == ".zip" and not place.is_dir()


def _refuse(problems: Sequence[str], where: Path, card: Card | None = None) -> None:
    """Raise InputError for the problems found, if any, with the command that retrains."""
    remedy = f"train it again: {card.training.command}" if card else "export the bundle again"
    if problems:
        raise InputError([Problem(what, shown(where), remedy=remedy) for what in problems[:20]])


def _parse_card(data: bytes, where: Path) -> Card:
    try:
        strict_json(data)
        return Card.model_validate_json(data)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
    except ValueError as error:
        _refuse([_plain((), str(error))], where)
        raise
    _refuse([_plain(item["loc"], item["msg"]) for item in found], where)
    raise AssertionError("a refused card has at least one problem")


def _plain(place: Sequence[str | int], message: str) -> str:
    """Return one line of printable ASCII, whatever the card's keys hold."""
    steps = ".".join(str(step)[:64] for step in place[:8]) or "card"
    return f"{steps}: {message}".encode("unicode_escape").decode()[:500]


def _hash_problems(card: Card, data: bytes) -> list[str]:
    if len(data) != card.model.size_bytes:
        return [f"holds {len(data)} bytes, the card says {card.model.size_bytes}"]
    if hashlib.sha256(data).hexdigest() != card.model.sha256:
        return ["its sha256 is not the card's: the model was changed or belongs to another card"]
    return []


def _session(graph: bytes, card: Card, where: Path) -> Any:
    # it is read once, at the import: no reports to its vendor, no identifier on the disk
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no base
        _refuse([f"cannot be run ({type(error).__name__})"], where, card)
        raise
