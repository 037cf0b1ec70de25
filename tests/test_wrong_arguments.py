"""Environments and lanes say at once, in one message, what they cannot take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("gymnasium")
pytest.importorskip("pettingzoo")

from cosim.case import Case
from cosim.envs import CommunityEnv, JointEnv, SingleEnv
from cosim.episode import Episode, initial_kwh, lived
from cosim.errors import InputError
from cosim.lanes import Lanes
from cosim.training.days import EVERY_DAY

WRONG_SHAPES = (0.5, [], [[0.1]], [0.1, 0.2, 0.3])


@pytest.fixture(scope="module")
def case(village: Any) -> Case:
    found: Case = village.case(policies={"rule": "self_consumption"}, groups={
        "owners": {"members": "all", "policy": "rule"}})  # fmt: skip
    return found


@pytest.fixture(scope="module")
def owner(case: Case) -> str:
    return case.population.names[int(np.flatnonzero(case.population.rating_kw)[0])]


@pytest.mark.parametrize("days", [0, -1, 1.5, "2"])
def test_a_length_that_is_none(case: Case, owner: str, days: Any) -> None:
    made = (
        lambda: SingleEnv(case, owner, days=days),
        lambda: JointEnv(case, "rule", days=days),
        lambda: CommunityEnv(case, "rule", days=days),
    )
    for make in made:
        with pytest.raises(InputError, match=f"days: episodes of {days!r} days\n.*from 1 on"):
            make()


@pytest.mark.parametrize("team", [7.0, -0.1, float("nan")])
def test_a_share_of_the_team_that_is_none(case: Case, team: float) -> None:
    with pytest.raises(InputError, match=f"team: a share of {team!r} of the team's worth") as found:
        CommunityEnv(case, "rule", team=team, days=0)
    assert len(found.value.problems) == 2, "all problems at once"


def test_days_of_numpy_are_days(case: Case, owner: str) -> None:
    env = SingleEnv(case, owner, days=np.int64(1), calendar=EVERY_DAY)  # type: ignore[arg-type]
    env.reset(seed=1)
    assert env.world.days == 1
    env.close()


@pytest.mark.parametrize(
    ("given", "fragments"),
    [
        ((0, 0, 1), ["length is 0 days"]),
        ((-1, 1, 1), ["first day is -1"]),
        ((0, 1, -5), ["seed is -5"]),
        ((0, 1, 1, np.array([0.5, 2.0])), ["begins with 2 of a battery's range"]),
        ((0, 1, 1, np.array([np.nan])), ["begins with nan"]),
        ((-1, 0, 1, np.array([-0.1])), ["first day is -1", "0 days", "begins with -0.1"]),
    ],
)
def test_an_episode_that_no_run_has(given: Any, fragments: list[str]) -> None:
    with pytest.raises(InputError) as found:
        Episode(*given)
    assert len(found.value.problems) == len(fragments)
    for fragment in fragments:
        assert fragment in str(found.value)


def test_days_and_fillings_that_the_case_has_not(case: Case) -> None:
    with pytest.raises(InputError, match="days 0 to 1 in a scenario of 1 days"):
        lived(case, Episode(0, 2, 1))
    with pytest.raises(InputError, match="days 1 to 1 in a scenario of 1 days"):
        Lanes(case, [Episode(0, 1, 1), Episode(1, 1, 1)])
    with pytest.raises(InputError, match=r"fillings of shape \(3,\) for 10 prosumers"):
        initial_kwh(case, Episode(0, 1, 1, np.zeros(3)))
    everybody = initial_kwh(case, Episode(0, 1, 1, np.float64(0.5)))  # type: ignore[arg-type]
    assert np.array_equal(everybody, initial_kwh(case, Episode(0, 1, 1, np.full(10, 0.5))))


def test_an_action_of_another_shape_leaves_the_episode_as_it_is(case: Case, owner: str) -> None:
    count = len(case.population)
    envs: tuple[Any, ...] = (SingleEnv(case, owner), JointEnv(case, "rule"))
    for env in envs:
        env.reset(seed=1)
        for wrong in WRONG_SHAPES:
            with pytest.raises(ValueError, match="an action has the shape"):
                env.step(wrong)
        _, _, _, over, info = env.step(np.zeros(env.action_space.shape))
        assert not over and info["interval"] == 1, "it goes on where it was"
        env.close()
    env = CommunityEnv(case, "rule")
    env.reset(seed=1)
    names = env.possible_agents
    for wrong in WRONG_SHAPES:
        actions: Any = {name: np.zeros(1) for name in names} | {names[2]: wrong}
        with pytest.raises(ValueError, match=f"an action of '{names[2]}' has the shape"):
            env.step(actions)
    *_, infos = env.step({name: np.zeros(1) for name in names})
    assert infos[names[0]]["interval"] == 1 and len(names) == count
    env.close()


def test_lanes_end_where_their_episodes_do(case: Case) -> None:
    lanes = Lanes(case, [Episode(0, 1, 1)])
    while not lanes.done:
        lanes.step()
    with pytest.raises(InputError, match="episodes have ended after 48 intervals"):
        lanes.step()


def test_lanes_take_decisions_of_their_seats_only(case: Case) -> None:
    lanes = Lanes(case, [Episode(0, 1, 1), Episode(0, 1, 2)])
    fits = np.zeros((2, 10, len(case.seats[0].policy.actions)))
    for wrong in (fits[0], fits[:, :3], fits[..., :0], np.float64(0.0)):
        with pytest.raises(InputError, match=r"decisions of shape .* for seat 'rule'"):
            lanes.step({"rule": wrong})
    with pytest.raises(InputError, match=r"'rul', which is no seat\n.*'rule'"):
        lanes.step({"rul": fits})
    assert lanes.interval == 0
    lanes.step({"rule": fits})
    assert lanes.interval == 1


def test_an_environment_of_lanes_is_checked_too(case: Case) -> None:
    pytest.importorskip("stable_baselines3")
    from cosim.training.signals import scaling_of
    from cosim.training.vec_env import Deal, SharedVecEnv

    scaling = scaling_of(case, case.seats[0].rows)

    def made(**changes: Any) -> SharedVecEnv:
        given = {"lanes": 1, "days": 1, "seed": 1, "calendar": EVERY_DAY, **changes}
        return SharedVecEnv(case, given.pop("seat", "rule"), scaling, **given)

    with pytest.raises(InputError) as found:
        made(lanes=0, days=-1, team=7.0)
    assert len(found.value.problems) == 3
    with pytest.raises(InputError, match="together at most 1"):
        made(deal=Deal(team=0.6, community=0.6))
    with pytest.raises(InputError, match="served by a policy 'rul'"):
        made(seat="rul")
    env = made()
    env.reset()
    for wrong in (np.zeros(10), np.zeros((9, 1)), np.zeros((10, 2)), np.float64(0.0)):
        with pytest.raises(ValueError, match=r"actions have the shape \(10, 1\)"):
            env.step(wrong)
    env.step(np.zeros((10, 1)))
    assert len(env.place.actions) == 1
