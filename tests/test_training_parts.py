"""Parts of a training, each held against figures worked out by hand or from what it rests on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import torch

from cosim.case import Case
from cosim.errors import OutputError
from cosim.training import checkpoint
from cosim.training.days import EVERY_DAY, Kind, blinded, kinds
from cosim.training.lane import Purse, stored_value
from cosim.training.learner import Plan, _model, learn
from cosim.training.settings import Ppo, Sac, Settings
from cosim.training.signals import Reach, learnt_scaling, reach_of, rewards_of, scaling_of
from cosim.training.terms import Weights
from cosim.training.vec_env import Deal, Place, SharedVecEnv

CHARGED = {
    "retail_eur_per_kwh": 0.2, "feed_in_eur_per_kwh": 0.1, "network_eur_per_kwh": 0.3,
    "network_local_share": 0.5, "taxes_eur_per_kwh": 0.15,
}  # fmt: skip


def world(case: Case, features: tuple[str, ...] = ("rating_kw", "soc"), **more: Any) -> Any:
    scaling = scaling_of(case, case.seats[0].rows, features)
    given = {"lanes": 2, "days": 1, "seed": 4, "calendar": EVERY_DAY} | more
    return SharedVecEnv(case, "learner", scaling, **given)


def plan(folder: Path, algorithm: Any, **more: Any) -> Plan:
    return Plan(algorithm, Settings(**more), 1, 400, folder, {}, every_s=0.0)


# ---------------------------------------------------------------- worlds


def test_batteries_begin_as_the_scenario_says_or_by_chance(home: Case) -> None:
    people, rows = home.population, home.seats[0].rows
    given = people.initial_kwh[rows]
    names = ("rating_kw", "energy_kwh")
    for number in (1, 2):
        begun, drawn = world(home, names, fillings="scenario"), world(home, names)
        for env in (begun, drawn):
            env.go_to(Place(number, np.zeros((0, env.num_envs, 1), np.float32)))
        np.testing.assert_allclose(begun.raw[:, 1].reshape(2, -1), [given, given], atol=1e-12)
        filled = drawn.raw[:, 1].reshape(2, -1)
        assert not np.isclose(filled, given).any() and not np.isclose(*filled).any()


@pytest.mark.parametrize("community", [0.0, 0.4])
def test_a_joint_slot_earns_what_all_learners_do_together(home: Case, community: float) -> None:
    """As one slot each of a team, and the community's share is not given twice."""
    rows = home.seats[0].rows
    joint = world(home, joint=True, deal=Deal(Weights(), 0.3, community))
    team = world(home, deal=Deal(Weights(), 1.0 - community, community))
    joint.reset(), team.reset()
    action = np.random.default_rng(3).uniform(-1, 1, (20, 2, len(rows)))
    for shares in action:
        _, together, _, _ = joint.step(shares)
        _, each, _, _ = team.step(shares.reshape(-1, 1))
        np.testing.assert_allclose(each.reshape(2, -1), together[:, None] * np.ones(len(rows)),
                                   atol=1e-6)  # fmt: skip


def test_rows_for_golden_vectors_go_round_all_slots(home: Case) -> None:
    env = world(home)
    env.reset()
    rows = np.concatenate([env.some_row(number) for number in range(env.num_envs)])
    np.testing.assert_array_equal(rows, env.raw)
    assert len(np.unique(rows, axis=0)) == env.num_envs


def test_who_has_no_supply_is_shown_as_nothing(
    village: Any, learners: dict[str, Any], tmp_path: Path
) -> None:
    import pandapower

    net = pandapower.networks.four_loads_with_branches_out()
    net.line.loc[net.line.index[-1], "in_service"] = False
    pandapower.to_json(net, str(tmp_path / "net.json"))
    dark = village.case(**learners, feeder={"source": "json", "name": str(tmp_path / "net.json")})
    env = world(dark)
    env.reset()
    here = env._world.present[env._rows]
    shown = env.raw.reshape(2, len(here), -1)
    assert 0 < here.sum() < len(here)
    assert not shown[:, ~here].any() and (shown[:, here, 0] > 0.0).all()


# ---------------------------------------------------------------- learners


def test_a_learner_is_made_as_the_settings_say(home: Case, tmp_path: Path) -> None:
    own = Ppo(learning_rate=0.5, learning_rate_end=0.1, log_std_init=-1.25, n_steps=20,
              batch_size=97, gamma=0.75, gae_lambda=0.5, clip_range=0.125)  # fmt: skip
    model = _model(world(home), plan(tmp_path, "ppo", ppo=own, layers=(5, 4), critic_layers=(7,)))
    rate = [model.lr_schedule(left) for left in (1.0, 0.5, 0.0)]
    assert rate == pytest.approx([0.5, 0.3, 0.1])
    assert (model.gamma, model.gae_lambda, model.clip_range(1.0)) == (0.75, 0.5, 0.125)
    assert model.batch_size == 80  # of 8 slots' 20 decisions
    policy = model.policy
    assert policy.log_std.tolist() == [-1.25]
    kinds_of = [[type(layer).__name__ for layer in net] for net in
                (policy.mlp_extractor.policy_net, policy.mlp_extractor.value_net)]  # fmt: skip
    assert kinds_of == [["Linear", "Tanh"] * 2, ["Linear", "Tanh"]]
    widths = [layer.out_features for net in (policy.mlp_extractor.policy_net,
              policy.mlp_extractor.value_net) for layer in net[::2]]  # fmt: skip
    assert widths == [5, 4, 7]


def test_time_counts_on_and_threads_are_given_back(home: Case, tmp_path: Path) -> None:
    own = plan(tmp_path, "ppo", layers=(4,), critic_layers=(4,), ppo=Ppo(n_steps=8))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        first = learn(world(home), replace(own, slot_steps=64))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    kept = checkpoint.read(tmp_path, {})
    assert kept.slot_steps == first.slot_steps == 64
    checkpoint.write(tmp_path, replace(kept, wall_s=1000.0))
    found = learn(world(home), own, resume=True)
    assert 1000.0 < found.wall_s < 1100.0 and found.slot_steps > 64
    walls = [row["wall_s"] for row in found.curve]
    assert walls[0] < 900.0 and min(walls[1:]) > 1000.0


@pytest.mark.parametrize("steps", [70, 130])
def test_a_memory_is_kept_whole_also_when_it_has_gone_round(
    home: Case, steps: int, tmp_path: Path
) -> None:
    """125 places of 8 slots each: after 130 steps the oldest are gone, and the rest is kept."""

    def made() -> Any:
        sac = Sac(buffer_size=1000, learning_starts=100)
        return _model(world(home), plan(tmp_path, "sac", layers=(4,), critic_layers=(4,), sac=sac))

    one, other = made(), made()
    memory, random = one.replay_buffer, np.random.default_rng(1)
    for k in range(steps):
        seen, after = random.normal(size=(2, 8, 2))
        infos = [{"TimeLimit.truncated": bool(k % 3)}] * 8
        memory.add(seen, after, random.uniform(-1, 1, (8, 1)), random.normal(size=8),
                   np.full(8, k % 2), infos)  # fmt: skip
    checkpoint.put_buffer(other, checkpoint.buffer_of(one))
    assert (memory.full, memory.pos) == (steps > 125, steps % 125)
    assert (other.replay_buffer.full, other.replay_buffer.pos) == (memory.full, memory.pos)
    for name in ("observations", "next_observations", "actions", "rewards", "dones", "timeouts"):
        held, kept = getattr(memory, name), getattr(other.replay_buffer, name)
        used = min(steps, 125)
        np.testing.assert_array_equal(kept[:used], held[:used])
        assert held[:used].any()


def test_a_checkpoint_that_cannot_be_put_in_place_leaves_nothing(
    home: Case, tmp_path: Path
) -> None:
    (tmp_path / checkpoint.FILE).mkdir()
    own = plan(tmp_path, "ppo", layers=(4,), critic_layers=(4,), ppo=Ppo(n_steps=8))
    with pytest.raises(OutputError, match=checkpoint.FILE):
        learn(world(home), own)
    assert [item.name for item in tmp_path.iterdir()] == [checkpoint.FILE]


# ---------------------------------------------------------------- rewards and actions


def test_a_reward_is_ten_times_the_worth_per_kw() -> None:
    """3 EUR of 4 kW are 7.5; without a battery they count as of 1 kW; shares of others as said."""
    worth = np.array([[3.0], [2.0]])
    rating = np.array([4.0, 0.0])
    assert rewards_of(worth, rating, 0.0).ravel().tolist() == [7.5, 20.0]
    assert rewards_of(worth, rating, 1.0).ravel().tolist() == [10.0, 10.0]
    everybody = np.array([8.0])
    found = rewards_of(worth, rating, 0.0, everybody, 0.5).ravel()
    assert found.tolist() == [0.5 * 7.5 + 0.5 * 16.0, 0.5 * 20.0 + 0.5 * 16.0]


def test_a_learner_sees_powers_per_kw_and_volts_in_steps_it_can_feel(home: Case) -> None:
    """1.02 p.u. is 1; a home of 3 kW that draws 1.5 kW is 0.5, whatever the others' powers are."""
    scaling = learnt_scaling(home, home.seats[0].rows, ("vm_pu", "forecast_net_kw", "rating_kw"),
                             "feasible")  # fmt: skip
    assert scaling.features[3:] == ("most_charge_kw", "most_discharge_kw")
    seen = scaling(np.array([[1.02, 1.5, 3.0, 3.0, 0.75], [0.99, -3.25, 3.25, 0.0, 6.5]]))
    np.testing.assert_allclose(seen[:, [0, 1, 3, 4]], [[1, 0.5, 1, 0.25], [-0.5, -1, 0, 2]],
                               atol=1e-5)  # fmt: skip


def test_stored_energy_is_worth_the_lowest_retail_less_half_the_losses(home: Case) -> None:
    """0.25 EUR/kWh at a round trip of 0.9: 0.25 * 0.948683."""
    np.testing.assert_allclose(stored_value(home, np.array([0, 3])), 0.2371708, atol=1e-7)


def test_idle_is_the_bill_of_who_does_nothing_with_charges_too(
    village_of: Any, learners: dict[str, Any]
) -> None:
    """Alone there is nobody to trade with, and a battery that waits changes no bill."""
    alone = village_of(1).case(**learners, tariff=CHARGED)
    env = world(alone, deal=Deal(Weights(idle=1.0)))
    env.reset()
    bills = []
    for _ in range(48):
        _, _, _, infos = env.step(np.zeros((2, 1)))
        for info in infos:
            assert info["reward_idle"] == pytest.approx(-info["reward_bill"], abs=1e-9)
            bills.append(info["reward_bill"])
    assert min(bills) < 0.0 < max(bills)


def test_actions_reach_from_bound_to_bound_and_no_further(village: Any) -> None:
    """A neighbour's kWh is worth retail and the charges it spares: 0.2 + 0.3 / 2."""
    rows = np.array([0, 1])
    reach = reach_of(village.case(tariff=CHARGED), rows, ("battery_kw", "price_eur_per_kwh"))
    rating = np.array([3.0, 3.25])
    ends = [np.column_stack([side * rating, [price, price]])
            for side, price in ((-1.0, 0.1), (1.0, 0.35))]  # fmt: skip
    for share, end in zip((-1.0, 1.0), ends, strict=True):
        np.testing.assert_allclose(reach(np.full((2, 2), share)), end)
        np.testing.assert_allclose(reach(np.full((2, 2), 3.0 * share)), end)
    assert isinstance(reach, Reach)


def test_a_collapse_counts_as_every_branch_at_twice_its_limit(home: Case) -> None:
    load = home.profiles.load_kw.copy()
    load[10] *= 2000.0
    case = replace(home, profiles=replace(home.profiles, load_kw=load))
    env = world(case, deal=Deal(Weights(overload=3.0, voltage=2.0)))
    env.reset()
    rating = case.population.rating_kw[env._rows]
    for k in range(12):
        lived = env._world
        kept: list[Any] = []
        real = lived.step
        lived.step = lambda given, real=real, kept=kept: kept.append(real(given)) or kept[0]
        _, _, _, infos = env.step(np.zeros((env.num_envs, 1)))
        grid = kept[0].delivery.grid
        lived.step = real
        branches = grid.line_loading_percent.shape[-1] + grid.trafo_loading_percent.shape[-1]
        due = 10.0 * 0.5 / len(rating) / rating * (k == 10)  # half an hour
        for name, weight in (("overload", 3.0 * branches), ("voltage", 2.0 * grid.vm_pu.shape[-1])):
            found = np.array([info[f"reward_{name}"] for info in infos]).reshape(2, -1)
            np.testing.assert_allclose(found, -weight * np.tile(due, (2, 1)), atol=1e-9)


def test_the_last_clearing_that_traded_is_remembered(home: Case) -> None:
    from types import SimpleNamespace as Some

    rows = home.seats[0].rows
    purse = Purse(home, rows, np.zeros(len(rows)))
    zero = np.zeros(len(home.population))
    bills = Some(bill_eur=zero, wear_eur=zero)
    for volume in (2.0, 1.0, 0.0, 0.0):
        trade = Some(rounds=[Some(clearing=Some(volume_kwh=volume))])
        purse.interval(Some(metered=Some(energy_kwh=zero), trade=trade, bills=bills))  # type: ignore[arg-type]
    assert [clearing.volume_kwh for clearing in purse.cleared] == [1.0, 0.0]


# ---------------------------------------------------------------- days


def test_the_price_of_imbalance_of_days_that_are_kept_is_not_shown(home: Case) -> None:
    days, per_day = 16, home.grid.intervals
    price = np.repeat(np.arange(days) * 0.01 + 0.3, per_day)

    def long(values: np.ndarray) -> np.ndarray:
        return np.tile(values, (days, *[1] * (values.ndim - 1)))

    tariffs = home.tariffs
    case = replace(
        home,
        grid=replace(home.grid, intervals=days * per_day),
        profiles=replace(home.profiles, **{n: long(v) for n, v in vars(home.profiles).items()}),
        tariffs=replace(
            tariffs,
            **{n: long(getattr(tariffs, n)) for n in ("retail_eur_per_kwh", "feed_in_eur_per_kwh",
                                                      "network_eur_per_kwh", "taxes_eur_per_kwh")},
            imbalance=replace(tariffs.imbalance, short_eur_per_kwh=price,
                              long_eur_per_kwh=price - 0.2),
        ),
    )  # fmt: skip
    free = price.reshape(days, -1)[kinds(case) == Kind.TRAIN, 0]
    shown = blinded(case).tariffs.imbalance
    assert 0 < len(free) < days
    assert {*np.unique(shown.short_eur_per_kwh)} == {*free}
    assert {*np.unique(shown.long_eur_per_kwh)} == {*(free - 0.2)}
