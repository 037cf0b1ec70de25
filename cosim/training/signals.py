"""What a learner is told and what it says: scaled observations, actions in [-1, 1], rewards.

The same for every training environment, so that what is learnt in one is told alike in another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cosim.arrays import freeze
from cosim.case import Case
from cosim.errors import InputError, Problem, did_you_mean
from cosim.observe import ACTIONS, FEATURES
from cosim.training.export import HELD, RATING, Input, Scaling, ShareOf

#: rewards are worth per kW of rating [EUR/kW] times this, so that all sizes learn alike
REWARD_SCALE = 10.0

#: what is observed where nothing else is asked for
OBSERVED = (
    "soc",
    RATING,
    "forecast_net_kw",
    "forecast_pv_kw",
    "retail_eur_per_kwh",
    "retail_in_1h_eur_per_kwh",
    "retail_in_4h_eur_per_kwh",
    "retail_in_12h_eur_per_kwh",
    "feed_in_eur_per_kwh",
    "last_price_eur_per_kwh",
    "vm_pu",
    "hour_sin",
    "hour_cos",
    "weekend",
)


@dataclass(frozen=True, eq=False)
class Reach:
    """What actions of 1 and -1 stand for, ``[m, a]`` in the unit of each action."""

    names: tuple[str, ...]
    low: np.ndarray
    high: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)

    def __call__(self, shares: np.ndarray) -> np.ndarray:
        """Return the decisions ``[..., m, a]``; shares beyond [-1, 1] count as their bound."""
        shares = np.clip(np.asarray(shares, dtype=np.float64), -1.0, 1.0)
        middle, half = 0.5 * (self.high + self.low), 0.5 * (self.high - self.low)
        return np.asarray(middle + half * shares)


def decided(reach: Reach, scaling: Scaling, shares: np.ndarray, raw: np.ndarray) -> np.ndarray:
    """Return decisions ``[..., m, a]`` of shares, given raw observations ``[..., m, d]``.

    As the bundle of the scaling will: battery power as a share of the rating, or of what the
    battery can hold for the interval.
    """
    decisions = reach(shares)
    if scaling.share_of == "feasible" and "battery_kw" in reach.names:
        place = reach.names.index("battery_kw")
        decisions[..., place] = scaling.held_kw(np.asarray(shares)[..., place], raw)
    return decisions


def reach_of(case: Case, rows: np.ndarray, actions: Sequence[str]) -> Reach:
    """Return how far some prosumers' actions reach.

    Battery power: the rating, both ways. Orders: what battery and the highest load or PV of the
    case could move in an interval, both ways. Limit prices: from the lowest feed-in price of the
    case to what neighbours' energy is worth at most. Raises InputError for actions nobody has.
    """
    people, tariffs = case.population, case.tariffs
    _check("action", actions, tuple(ACTIONS))
    if tuple(actions) == ("battery_kw",) and not people.rating_kw[rows].any():
        who = people.names[rows[0]] + (f" and {len(rows) - 1} more" if len(rows) > 1 else "")
        raise InputError(
            Problem(f"nothing to learn: {who} has no battery", why="the one action is its power",
                    remedy="choose a prosumer with a battery, or more actions")
        )  # fmt: skip
    rating = people.rating_kw[rows]
    energy = _most_kw(case, rows) * case.grid.interval_h
    bounds = {
        "battery_kw": (-rating, rating),
        "quantity_kwh": (-energy, energy),
        "price_eur_per_kwh": (
            tariffs.feed_in_eur_per_kwh[:, rows].min(0),
            tariffs.worth_eur_per_kwh[:, rows].max(0),
        ),
    }
    low, high = (np.stack([bounds[name][end] for name in actions], axis=-1) for end in (0, 1))
    return Reach(tuple(actions), low, high)


def scaling_of(case: Case, rows: np.ndarray, features: Sequence[str] = OBSERVED) -> Scaling:
    """Return a scaling that brings the case's own range of each feature to [-1, 1]."""
    _check("feature", features, tuple(FEATURES))
    if RATING not in features:
        raise InputError(
            Problem(f"the features lack '{RATING}'", remedy="add it: a bundle needs it")
        )
    ranges = _ranges(case, rows)
    return Scaling(tuple(_input(name, *ranges[name]) for name in features))


def rewards_of(
    worth_eur: np.ndarray,
    rating_kw: np.ndarray,
    team: float,
    everybody_eur: np.ndarray | None = None,
    community: float = 0.0,
) -> np.ndarray:
    """Return rewards by terms ``[..., m, T]`` of what an interval was worth ``[..., m, T]``.

    Per kW of rating (of 1 kW without a battery), times :data:`REWARD_SCALE`; to the share ``team``
    the worth is that of all learners together: alone, each would sell until the price is gone for
    all. To the share ``community`` it is that of everybody, ``everybody_eur`` ``[..., T]``.
    """
    size = np.where(rating_kw > 0.0, rating_kw, 1.0)
    own = worth_eur / size[:, None]
    together = worth_eur.sum(-2, keepdims=True) / size.sum()
    reward = own + team * (together - own)
    if community and everybody_eur is not None:
        reward = reward + community * (everybody_eur[..., None, :] / size.sum() - own)
    return np.asarray(REWARD_SCALE * reward)


def named_terms(
    rewards: np.ndarray, names: Sequence[str] = ("bill", "wear", "stored")
) -> list[dict[str, float]]:
    """Return rewards ``[m, T]`` as ``reward_<term>``, one dictionary for each row."""
    if len(names) == 3:  # written out: thousands of small containers a step keep the collector busy
        one, two, three = (f"reward_{name}" for name in names)
        return [{one: a, two: b, three: c} for a, b, c in zip(*rewards.T.tolist(), strict=True)]
    keys = [f"reward_{name}" for name in names]
    return [dict(zip(keys, row, strict=True)) for row in rewards.tolist()]


def _check(what: str, names: Sequence[str], known: tuple[str, ...]) -> None:
    problems = [
        Problem(f"unknown {what} '{name}'", remedy=did_you_mean(name, known))
        for name in names
        if name not in known
    ]
    if not names:
        problems = [Problem(f"no {what} to learn with", remedy=f"there are {', '.join(known)}")]
    if problems:
        raise InputError(problems)


def learnt_scaling(
    case: Case, rows: np.ndarray, features: Sequence[str], share_of: ShareOf
) -> Scaling:
    """Return a scaling for learning: powers per kW of rating, other ranges to about [-1, 1]."""
    wanted = tuple(dict.fromkeys((*features, *(HELD if share_of == "feasible" else ()))))
    plain = scaling_of(case, rows, wanted)
    powers = {"measured_load_kw", "measured_pv_kw", "forecast_load_kw", "forecast_pv_kw",
              "forecast_net_kw", *HELD}  # fmt: skip
    inputs = [
        replace(item, offset=0.0, scale=1.0, per_rating=True)
        if item.name in powers
        else replace(item, offset=1.0, scale=0.02)
        if item.name == "vm_pu"
        else item
        for item in plain.inputs
    ]
    return Scaling(tuple(inputs), share_of=share_of)


def _input(name: str, low: float, high: float) -> Input:
    """Return the input of a range; what never changes keeps its unit and gets a width of 1."""
    half = 0.5 * (high - low)
    if half > 0.0:
        return Input(name, low, high, 0.5 * (low + high), half)
    return Input(name, low, low + 1.0, low, 1.0)


def _ranges(case: Case, rows: np.ndarray) -> dict[str, tuple[float, float]]:
    """Return least and greatest value of each feature in a case; of the voltage, what is normal."""
    bounded = {
        name: (float(each.low), float(each.high))
        for name, each in FEATURES.items()
        if np.isfinite([each.low, each.high]).all()
    }
    constants, powers = _constants_of(case, rows), _powers_of(case, rows)
    lead_s = case.scenario.time.gate_lead_seconds + 0.5 * case.grid.interval_s
    return {
        **bounded,
        **_prices_of(case, rows),
        **constants,
        **powers,
        **_energies_of(case, rows),
        **_states_of(case),
        "energy_kwh": constants["capacity_kwh"],
        "forecast_horizon_h": (0.0, lead_s / 3600.0),
    }


def _constants_of(case: Case, rows: np.ndarray) -> dict[str, tuple[float, float]]:
    """Return the ranges of what prosumers are, and of what follows from that alone."""
    names = ("capacity_kwh", "rating_kw", "min_kwh", "max_kwh", "self_discharge_per_h",
             "wear_eur_per_kwh", "pv_kwp")  # fmt: skip
    own = {name: (0.0, float(getattr(case.population, name)[rows].max())) for name in names}
    powers = dict.fromkeys(("most_charge_kw", "most_discharge_kw"), own["rating_kw"])
    return {**own, **powers, **dict.fromkeys(("pv_limit_kw", "curtailed_kw"), own["pv_kwp"])}


def _powers_of(case: Case, rows: np.ndarray) -> dict[str, tuple[float, float]]:
    """Return the ranges of load and PV."""
    load, pv = case.profiles.load_kw[:, rows], case.profiles.pv_kw[:, rows]
    net = load - pv
    return {
        **dict.fromkeys(("measured_load_kw", "forecast_load_kw"), (0.0, float(load.max()))),
        **dict.fromkeys(("measured_pv_kw", "forecast_pv_kw"), (0.0, float(pv.max()))),
        "forecast_net_kw": (float(net.min()), float(net.max())),
    }


def _prices_of(case: Case, rows: np.ndarray) -> dict[str, tuple[float, float]]:
    """Return the range of all prices: from the lowest feed-in to what a drawn kWh costs most."""
    tariffs = case.tariffs
    prices = (
        float(tariffs.feed_in_eur_per_kwh[:, rows].min()),
        float(tariffs.drawn_eur_per_kwh[:, rows].max()),
    )
    return {name: prices for name in FEATURES if name.endswith("_eur_per_kwh")}


def _energies_of(case: Case, rows: np.ndarray) -> dict[str, tuple[float, float]]:
    """Return the ranges of what is traded in an interval, and of what a prosumer pays for it."""
    volume = (0.0, float(case.profiles.load_kw.sum(1).max()) * case.grid.interval_h)
    own = float((_most_kw(case, rows) * case.grid.interval_h).max())
    dearest = max(map(abs, _prices_of(case, rows)["retail_eur_per_kwh"]))
    volumes = [name for name in FEATURES if name.startswith("volume_")]
    return {
        **dict.fromkeys(("last_volume_kwh", *volumes), volume),
        **dict.fromkeys(("held_kwh", "last_fill_kwh"), (-own, own)),
        "last_bill_eur": (-own * dearest, own * dearest),
    }


def _states_of(case: Case) -> dict[str, tuple[float, float]]:
    """Return the ranges of the feeder and of feeds: limits kept, twice the rating, a day."""
    limits = case.limits
    band = (0.0, limits.vm_max_pu - limits.vm_min_pu)
    return {
        "vm_pu": (limits.vm_min_pu, limits.vm_max_pu),
        **dict.fromkeys(("vm_above_min_pu", "vm_below_max_pu"), band),
        **dict.fromkeys(("line_loading_percent", "trafo_loading_percent"), (0.0, 200.0)),
        **dict.fromkeys(("price_age_s", "measurement_age_s"), (0.0, 86_400.0)),
    }


def _most_kw(case: Case, rows: np.ndarray) -> np.ndarray:
    """Return what battery and the highest load or PV of the case could move ``[m]``."""
    profiles = case.profiles
    highest = np.maximum(profiles.load_kw[:, rows].max(0), profiles.pv_kw[:, rows].max(0))
    return np.asarray(highest + case.population.rating_kw[rows])
