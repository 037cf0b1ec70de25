"""Bringing a policy trained elsewhere: a saved model and names for its columns become a bundle."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cosim.bundle.card import Training
from cosim.bundle.files import read_file, shown
from cosim.bundle.load import Bundle
from cosim.errors import InputError, Problem
from cosim.observe import FEATURES, Quantity
from cosim.training import sb3_zip
from cosim.training.network import RATING, Actor, Cell, Normal, Ports, to_graph
from cosim.training.raw import scaled_problems
from cosim.training.sb3 import ends_of, layers_of
from cosim.training.sb3_zip import Box, Saved
from cosim.training.second import answers
from cosim.training.wish import Wish, again, ascii_of, check_wish
from cosim.training.write import Columns, Description, action_column, feature_column, write

#: standard deviations of training that are taken for its range where nothing else says it
SPREAD = 4.0
GOLDEN = 16


def bring(
    model: Path, statistics: Path | None, folder: Path, wish: Wish
) -> tuple[Bundle, list[str]]:
    """Write a bundle of a saved stable-baselines3 model; return it and what was assumed.

    Raises InputError where names, sizes or ranges do not fit.
    """
    check_wish(wish)
    saved = sb3_zip.read_model(model)
    normal = statistics and (
        sb3_zip.trusted_statistics(statistics) if wish.trust
        else sb3_zip.read_statistics(statistics)
    )  # fmt: skip
    try:
        actor, origin = _actor(saved, model, wish)
        ports = _ports(wish)
        _check_sizes(actor, normal or None, saved, ports, wish)
        _check_units(model, saved, normal or None, wish)
        actor, columns, notes = _columns(replace(actor, normal=normal or None), saved, ports, wish)
    except ValueError as error:
        raise InputError(Problem(str(error), shown(model))) from None
    graph, states = to_graph(actor, ports)
    columns = replace(columns, states=states)
    notes = [
        f"imported from {_short(model.name)}, sha256 {_digest(model)}", f"activation {origin}",
        _normal_note(statistics, normal or None), *notes, *_doubt(actor, wish),
    ]  # fmt: skip
    said = _description(saved, wish, notes, again(model, statistics, folder, wish))
    if any(isinstance(layer, Cell) for layer in actor.layers):
        said = replace(said, algorithm="RecurrentPPO")
    seen = _seen(columns)
    return write(folder, graph, columns, seen, said, answers(actor, ports, seen)), notes


def _actor(saved: Saved, model: Path, wish: Wish) -> tuple[Actor, str]:
    """Return the actor and what its activation is and who says so."""
    if wish.trust:
        return sb3_zip.trusted_actor(model, saved.algorithm), "as stable-baselines3 loads it"
    settings, origin = saved.settings(wish.activation)
    layers = layers_of(saved.weights, settings)
    box = saved.actions
    actor = Actor(layers, box.low, box.high, saved.squash)
    return actor, f"{settings.activation.name}: {origin}"


def _ports(wish: Wish) -> Ports:
    blind = (RATING,) if wish.of_rating and RATING not in wish.features else ()
    return Ports((*wish.features, *blind), wish.actions, wish.agents, blind)


def _check_sizes(
    actor: Actor, normal: Normal | None, saved: Saved, ports: Ports, wish: Wish
) -> None:
    """Raise ValueError where the names given do not fit the network."""
    taken, given = ends_of(actor.layers)
    for what, names, size, declared in (
        ("features", wish.features, taken, len(saved.observations.low)),
        ("actions", wish.actions, given, len(saved.actions.low)),
    ):
        named = ports.count * len(names)
        each = f" for each of {ports.count} agents" if wish.agents else ""
        if size != declared:
            raise ValueError(f"the network has {size} {what}, its space has {declared}")
        if size != named:
            raise ValueError(
                f"the network has {size} {what}, --{what} names {len(names)}{each} "
                f"({', '.join(names)})"
            )
    if normal is not None and len(normal.mean) != taken:
        raise ValueError(f"the statistics are of {len(normal.mean)} features, not {taken}")


def _check_units(model: Path, saved: Saved, normal: Normal | None, wish: Wish) -> None:
    """Raise InputError where the network was not shown quantities in their own units."""
    found = scaled_problems(saved.observations, normal, wish)
    if found:
        raise InputError([replace(problem, where=shown(model)) for problem in found])


def _columns(
    actor: Actor, saved: Saved, ports: Ports, wish: Wish
) -> tuple[Actor, Columns, list[str]]:
    """Return the actor with bounds, the columns with their ranges, and where those are from."""
    notes: list[str] = []
    features = []
    for index, name in enumerate(ports.features):
        places = (
            []
            if name in ports.blind
            else range(index, len(saved.observations.low), len(wish.features))
        )
        low, high, origin = _feature_range(
            name, list(places), saved.observations, actor.normal, wish
        )
        features.append(feature_column(name, low, high))
        notes.append(f"range of {name} {low:g} to {high:g}: {origin}")
    actor = _with_bounds(actor, ports, wish)
    reach = next((c.high for c in features if c.name == RATING), 1.0) if wish.of_rating else 1.0
    ends = [np.reshape(end, (ports.count, -1)) for end in (actor.low, actor.high)]
    actions = tuple(
        action_column(name, float(ends[0][:, j].min()) * reach, float(ends[1][:, j].max()) * reach)
        for j, name in enumerate(wish.actions)
    )
    return (
        replace(actor, of_rating=wish.of_rating),
        Columns(tuple(features), actions, wish.agents),
        notes,
    )


def _feature_range(
    name: str, places: Sequence[int], box: Box, normal: Normal | None, wish: Wish
) -> tuple[float, float, str]:
    """Return the range a feature was trained in, as far as anybody says it."""
    known: Quantity = FEATURES[name]
    if name in wish.ranges:
        return (*wish.ranges[name], "as you say")
    candidates = []
    if places and normal is not None and normal.low is not None and normal.high is not None:
        ends = (normal.low[places].min(), normal.high[places].max())
        candidates.append((*ends, "the statistics"))
    if places:
        ends = (box.low[places].min(), box.high[places].max())
        candidates.append((*ends, "the observation space"))
    if normal is not None and places:
        mean, spread = normal.mean[places], SPREAD * np.sqrt(normal.var[places])
        ends = ((mean - spread).min(), (mean + spread).max())
        candidates.append((*ends, f"{SPREAD:g} standard deviations of the statistics"))
    candidates.append((known.low, known.high, "all it can be"))
    for lowest, highest, origin in candidates:
        low, high = max(float(lowest), known.low), min(float(highest), known.high)
        if np.isfinite([low, high]).all() and low < high:
            return low, high, origin
    raise ValueError(
        f"nothing says in which range '{name}' was: give it as --range {name}=LOW:HIGH"
    )


def _with_bounds(actor: Actor, ports: Ports, wish: Wish) -> Actor:
    """Return the actor with finite bounds: those of its space, else those given."""
    given = np.array([wish.ranges.get(name, (np.nan, np.nan)) for name in wish.actions])
    given = np.tile(given, (ports.count, 1)).T.astype(np.float32)
    own = np.array([actor.low, actor.high], np.float32)
    if not actor.squash:
        own = np.where(np.isinf(own), given, own)
    bounds = np.where(np.isnan(own), given, own)
    for j, name in enumerate(wish.actions * ports.count):
        if not np.isfinite(bounds[:, j]).all():
            raise ValueError(
                f"nothing says how far '{name}' goes: give it as --range {name}=LOW:HIGH"
            )
        if np.isfinite(given[:, j]).all() and not np.array_equal(bounds[:, j], given[:, j]):
            low, high = bounds[:, j].tolist()
            raise ValueError(f"the action space of '{name}' is {low:g} to {high:g}, not as you say")
        if not bounds[0, j] < bounds[1, j]:
            raise ValueError(f"the action space of '{name}' is empty")
    return replace(actor, low=bounds[0], high=bounds[1])


def _seen(columns: Columns) -> np.ndarray:
    """Return observations from all over the range, for the golden vectors."""
    ends = [[getattr(c, end) for c in columns.features] for end in ("low", "high")]
    low, high = (np.tile(end, max(1, len(columns.agents))) for end in np.array(ends))
    share = np.random.Generator(np.random.PCG64(1)).random((GOLDEN, len(low)))
    return np.asarray(low + (high - low) * share)


def _normal_note(statistics: Path | None, normal: Normal | None) -> str:
    if normal is None:
        return "observations are taken as they are, without normalisation"
    assert statistics is not None
    return f"normalised by {_short(statistics.name)}, clipped to {normal.clip:g}"


def _short(text: str) -> str:
    return ascii_of(text)[:200]


def _digest(path: Path) -> str:
    return hashlib.sha256(read_file(path, sb3_zip.ZIP_CAP)).hexdigest()


def _doubt(actor: Actor, wish: Wish) -> list[str]:
    """Say that an action may be a share where its space looks like one."""
    alike = wish.actions == ("battery_kw",) and not wish.of_rating
    if not (alike and (actor.low == -1.0).all() and (actor.high == 1.0).all()):
        return []
    return ["the action is taken as -1 to 1 kW; of a share of the rating: --share-of-rating"]


def _description(saved: Saved, wish: Wish, notes: Sequence[str], command: str) -> Description:
    unknown = f"how it was trained is not known here; save it again, then: {command}"
    training = Training(
        scenario=None,
        scenario_sha256=None,
        seeds=saved.seeds,
        steps=saved.steps,
        wall_s=None,
        command=wish.command or unknown,
        notes=tuple(notes),
    )
    return Description(
        name=wish.name,
        version=wish.version,
        licence=wish.licence,
        framework=f"stable-baselines3 {saved.version}",
        algorithm=saved.algorithm,
        interval_s=wish.interval_s,
        training=training,
        gate_lead_s=wish.gate_lead_s,
    )
