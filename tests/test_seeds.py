"""Draws: keyed by seed, entity, purpose and block, and by nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cosim.case import Case
from cosim.seeds import Draws, generator, uniforms

DiaryOf = Callable[[Case], Any]
NAMES = [f"home-{i}" for i in range(6)]


@pytest.mark.parametrize("place", [0, 3, 6])
def test_one_more_entity_leaves_the_draws_of_the_others_untouched(place: int) -> None:
    more = [*NAMES[:place], "newcomer", *NAMES[place:]]
    before = uniforms(3, NAMES, "decision", 2, (4, 5))
    after = uniforms(3, more, "decision", 2, (4, 5))
    assert before.shape == (4, 6, 5)
    assert np.array_equal(np.delete(after, place, axis=1), before)
    mixed = uniforms(3, NAMES[::-1], "decision", 2, (4, 5))
    assert np.array_equal(mixed[:, ::-1], before)


def test_nobody_draws_nothing() -> None:
    assert uniforms(3, [], "decision", 0, (4, 5)).shape == (4, 0, 5)
    assert Draws(3, NAMES, "decision", 48, 0).at(7).shape == (6, 0)


def test_other_seeds_entities_purposes_and_blocks_have_other_streams() -> None:
    entities = ["a", "b", "ab", "a b", "a 1", "1", "11", "", "A", "ä"]
    purposes = ["p", "q", "a p", "b", "1", "latency", "message"]
    keys = itertools.product([0, 1, 11, 2**62], entities, purposes, [0, 1, 2, 1000])
    starts = {key: generator(*key).integers(0, 2**64, 2, dtype=np.uint64) for key in keys}
    assert len({tuple(start) for start in starts.values()}) == len(starts) == 4 * 10 * 7 * 4


def test_streams_do_not_overlap_or_follow_each_other() -> None:
    streams = [
        generator(seed, entity, "decision", block).random(2000)
        for seed, entity, block in itertools.product([1, 2], ["a", "b"], [0, 1, 2])
    ]
    values = np.concatenate(streams)
    assert len(np.unique(values)) == len(values)
    correlation = np.corrcoef(np.stack(streams)) - np.eye(len(streams))
    assert np.abs(correlation).max() < 4.5 / np.sqrt(2000)


def test_draws_are_uniform_along_and_across_streams() -> None:
    names = [f"home-{i}" for i in range(100)]
    along = np.concatenate([generator(5, name, "decision").random(500) for name in names])
    first = [generator(s, n, "decision", b).random() for s in range(25) for n in names
             for b in range(4)]  # fmt: skip
    for sample in (along, np.array(first)):
        assert ((sample >= 0.0) & (sample < 1.0)).all()
        counts = np.bincount((sample * 20).astype(int), minlength=20)
        expected = len(sample) / 20
        assert ((counts - expected) ** 2 / expected).sum() < 44.0  # chi2 of 19, 0.1 %
        assert abs(sample.mean() - 0.5) < 4.0 / np.sqrt(12 * len(sample))


def test_an_interval_can_be_drawn_without_its_past() -> None:
    one = Draws(9, NAMES, "latency", 48, 3)
    in_order = [one.at(k).copy() for k in range(200)]
    for k in np.random.default_rng(0).permutation(200):
        assert np.array_equal(Draws(9, NAMES, "latency", 48, 3).at(int(k)), in_order[k])
        assert np.array_equal(one.at(int(k)), in_order[k])
    assert len({float(row[0, 0]) for row in in_order}) == 200


def test_a_draw_is_the_same_on_every_machine() -> None:
    """The streams are part of what a seed means: changing them changes every result."""
    assert generator(1, "home", "latency", 3).random(2).tolist() == [
        0.5791081581822003,
        0.4700561803750679,
    ]


# ---------------------------------------------------------------- in a simulation


SEEDED = {
    "policies": {"dice": "random"},
    "groups": {"all": {"members": "all", "policy": "dice"}},
    "latency": {"min_s": 0, "max_s": 70},
}
SNOW = {
    "kind": "pv_collapse",
    "start": "2016-07-18 09:10",
    "end": "2016-07-18 15:00",
    "pv_factor": [0.1, 0.9],
}
FROST = {
    "kind": "cold_snap",
    "start": "2016-07-18 02:00",
    "end": "2016-07-18 20:00",
    "load_factor": [1.0, 3.0],
    "evening_factor": [1.0, 2.0],
}
SHOCK = {"kind": "price_shock", "start": "2016-07-18 02:00", "end": "2016-07-18 20:00"}


def drawn(kept: Any, rows: slice = slice(None)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what depends on draws alone: powers and prices asked for, and times of arrival."""
    asked = [interval.trade.asked for interval in kept.intervals]
    return (
        np.stack([a.requested.battery_kw[rows] for a in asked]),
        np.stack([a.requested.price_eur_per_kwh[rows] for a in asked]),
        np.stack([a.arrival_s[rows] for a in asked]),
    )


def equal(one: tuple[np.ndarray, ...], other: tuple[np.ndarray, ...]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_one_more_prosumer_leaves_the_draws_of_the_others_untouched(
    village_of: Callable[[int], Any], diary_of: DiaryOf
) -> None:
    fewer, more = (diary_of(village_of(homes).case(**SEEDED)) for homes in (9, 10))
    assert drawn(fewer)[0].shape[1] == 9
    assert drawn(fewer)[0].any()
    assert equal(drawn(fewer), drawn(more, slice(0, 9)))


def test_one_more_policy_leaves_the_draws_of_the_others_untouched(
    village: Any, diary_of: DiaryOf
) -> None:
    alone = diary_of(village.case(**SEEDED))
    two = {
        "policies": {"bidder": "zero_intelligence", "dice": "random"},
        "groups": {
            "few": {"members": ["d", "h"], "policy": "bidder"},
            "all": {"members": "all", "policy": "dice"},
        },
    }
    mixed = diary_of(village.case(**SEEDED | two))
    rest = np.delete(np.arange(10), [3, 7])
    assert equal(drawn(alone, rest), drawn(mixed, rest))
    assert not equal(drawn(alone), drawn(mixed))


@pytest.mark.parametrize("hit", [SNOW, FROST], ids=lambda d: d["kind"])
@pytest.mark.parametrize(
    ("before", "after"), [([], []), ([], [SHOCK]), ([SHOCK], []), ([SHOCK, SHOCK], [SHOCK])]
)
def test_one_more_disturbance_leaves_the_draws_of_the_others_untouched(
    village: Any, diary_of: DiaryOf, hit: dict[str, Any], before: list, after: list
) -> None:
    alone = diary_of(village.case(**SEEDED, disturbances=[hit]))
    several = diary_of(village.case(**SEEDED, disturbances=[*before, hit, *after]))
    assert equal(drawn(alone)[2:], drawn(several)[2:])
    for one, other in zip(alone.intervals, several.intervals, strict=True):
        assert np.array_equal(one.metered.load_kwh, other.metered.load_kwh)
        assert np.array_equal(one.metered.pv_kwh, other.metered.pv_kwh)


def test_another_seed_changes_every_kind_of_draw(village: Any, diary_of: DiaryOf) -> None:
    first, second = (
        diary_of(village.case(**SEEDED, seed=seed, disturbances=[SNOW, FROST])) for seed in (1, 2)
    )
    for one, other in zip(drawn(first), drawn(second), strict=True):
        assert not np.array_equal(one, other)
    for name in ("load_kwh", "pv_kwh"):
        one, other = (getattr(kept.intervals[24].metered, name) for kept in (first, second))
        assert not np.array_equal(one, other)
