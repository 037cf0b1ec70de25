"""Train one small policy shared by all prosumers with a battery, judge it, and write its bundle.

python tools/train_shared_policy.py --scenario agents/trained/shared_ppo/training.yaml \
    --out agents/trained/shared_ppo --steps 3000000 --seed 1

Needs the extra ``train``.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agents.onnx import Onnx
from cosim import plugins
from cosim.bundle.card import CARD, Evaluation, Figure, Training
from cosim.case import Case, load_case
from cosim.errors import CosimError
from cosim.policy import Policy
from cosim.scenario import load_scenario
from cosim.training.days import SUMMER_WEEK, WINTER_WEEK, is_test_day
from cosim.training.export import Description, Input, Scaling, to_onnx, write_bundle
from cosim.training.judge import Costs, Period, judge, paired_interval

SEAT = "learner"
RULES = ("do_nothing", "self_consumption", "time_of_use")
JUDGED_SEEDS = (101, 102, 103)
RETAIL = ("retail_eur_per_kwh", *(f"retail_in_{h}h_eur_per_kwh" for h in (1, 2, 3, 4, 6, 8, 12)))
MORE_EUR_PER_KWH = 0.1  # does the order of policies hold if stored energy is worth this much more?


def scaling(case: Case) -> Scaling:
    """Return what the network sees; ranges are those of the training scenario's data."""
    people, rows = case.population, _rows(case)
    rating = float(people.rating_kw[rows].max())
    load, pv = case.profiles.load_kw[:, rows], case.profiles.pv_kw[:, rows]
    retail, feed_in = case.tariffs.retail_eur_per_kwh, case.tariffs.feed_in_eur_per_kwh
    net = load - pv
    prices = (float(feed_in.min()), float(retail.max()))
    low_retail = min(float(retail.min()), prices[1] - 0.01)
    return Scaling((
        Input("soc", 0.0, 1.0, 0.5, 0.5),
        Input("rating_kw", 0.0, rating, 5.0, 5.0),
        Input("forecast_net_kw", float(net.min()), float(net.max()), 0.0, 0.5, per_rating=True),
        Input("forecast_pv_kw", 0.0, float(pv.max()), 0.25, 0.5, per_rating=True),
        *(Input(name, low_retail, prices[1], 0.3, 0.2) for name in RETAIL),
        Input("last_price_eur_per_kwh", *prices, 0.3, 0.2),
        Input("vm_pu", 0.9, 1.1, 1.0, 0.02),
        Input("hour_sin", -1.0, 1.0),
        Input("hour_cos", -1.0, 1.0),
        Input("weekend", 0.0, 1.0, 0.5, 0.5),
    ))  # fmt: skip


def _rows(case: Case) -> np.ndarray:
    return next(seat.rows for seat in case.seats if seat.name == SEAT)


def train(case: Case, scale: Scaling, options: argparse.Namespace) -> tuple[object, np.ndarray]:
    """Return the trained policy and raw observations seen on the way."""
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback

    from cosim.training.vec_env import SharedVecEnv

    torch.set_num_threads(1)
    env = SharedVecEnv(
        case, SEAT, scale, lanes=options.lanes, days=3, seed=options.seed, team=options.team
    )
    seen: list[np.ndarray] = []

    class Watch(BaseCallback):
        """Tells the mean reward of each rollout and keeps a few observations."""

        def _on_step(self) -> bool:
            if self.n_calls % 97 == 0:
                seen.append(env.raw[self.n_calls % len(env.raw)])
            return True

        def _on_rollout_end(self) -> None:
            mean = self.model.rollout_buffer.rewards.mean()
            spread = float(self.model.policy.log_std.exp().mean().detach())
            print(f"{self.num_timesteps:>9} decisions, mean reward {mean:.5f}, std {spread:.3f}",
                  flush=True)  # fmt: skip

    model = PPO(
        "MlpPolicy",
        env,
        n_steps=288,
        batch_size=1024,
        n_epochs=5,
        learning_rate=lambda left: 1e-3 * left + 1e-5,
        gamma=0.995,
        gae_lambda=0.95,
        ent_coef=0.0,
        policy_kwargs={
            "net_arch": {"pi": [options.width] * 2, "vf": [64, 64]},
            "log_std_init": -0.7,
        },
        seed=options.seed,
        device="cpu",
    )
    model.learn(options.steps, callback=Watch())
    env.close()
    return model.policy, np.array(seen)


def evaluation(case: Case, learnt: Policy, name: str) -> Evaluation:
    """Return the policy's record beside the rules' on days held out of training."""
    policies = {name: learnt, **{rule: _rule(rule) for rule in RULES}}
    year = range(case.grid.end_s // 86_400)
    single = [d for d in year if is_test_day(d) and d not in WINTER_WEEK and d not in SUMMER_WEEK]
    costs = judge(case, SEAT, policies, [Period(d) for d in single], JUDGED_SEEDS)
    weeks = [Period(week.start, len(week)) for week in (WINTER_WEEK, SUMMER_WEEK)]
    days = np.array(single)
    records = {
        "held-out days": costs,
        "held-out days, November to February": _some(costs, (days < 60) | (days >= 305)),
        "held-out days, May to August": _some(costs, (days >= 121) & (days < 244)),
        "winter week": judge(case, SEAT, policies, weeks[:1], JUDGED_SEEDS),
        "summer week": judge(case, SEAT, policies, weeks[1:], JUDGED_SEEDS),
    }
    return Evaluation(
        measured="settled bills on metered energy plus wear, minus the gain in stored energy at "
        "the lowest retail price times the root of the round-trip efficiency; EUR per day, mean "
        "over days and seeds; a seed draws how full the batteries begin",
        against=RULES,
        days=(
            f"{len(single)} single days: every fourth of 2016, d % 4 == 3",
            "days 17 to 23 (winter week) and 199 to 205 (summer week), in one piece each",
        ),
        seeds=JUDGED_SEEDS,
        figures=tuple(f for label, r in records.items() for f in _figures(label, r, name)),
        caveats=(
            *[line for label, record in records.items() for line in _losses(label, record, name)],
            "one feeder, one tariff, one market, one year; one training run",
            "trained for the peak of its tariff: under another it may do worse than the rules",
            "the owners of batteries are 16 of 118 participants; more of them would compete",
            "load and PV of the coming interval are known exactly (perfect_interval)",
            "grid limits are no part of the reward",
        ),
    )


def _rule(name: str) -> Policy:
    policy = plugins.load("policy", name)()
    assert isinstance(policy, Policy)
    return policy


def _some(costs: dict[str, Costs], picked: np.ndarray) -> dict[str, Costs]:
    """Return the costs of some of the periods."""
    return {
        name: Costs(cost.owners[picked], cost.community[picked], cost.gained_kwh[picked])
        for name, cost in costs.items()
    }


def _figures(period: str, costs: dict[str, Costs], name: str) -> list[Figure]:
    """Return means of all policies, and the paired difference of this one to each rule."""
    worth_more = {k: c.owners - MORE_EUR_PER_KWH * c.gained_kwh for k, c in costs.items()}
    found = [
        _figure(period, "cost of the owners", {k: c.owners for k, c in costs.items()}),
        _figure(period, "cost of the community", {k: c.community for k, c in costs.items()}),
        _figure(period, f"cost of the owners, stored energy worth {MORE_EUR_PER_KWH} EUR/kWh more",
                worth_more),
    ]  # fmt: skip
    if len(costs[name].owners) < 2:
        return found
    gaps = {rule: costs[name].owners - costs[rule].owners for rule in RULES}
    ends = {rule: paired_interval(gap) for rule, gap in gaps.items()}
    for index, end in enumerate(("lower", "upper")):
        bounds = {rule: np.array(pair[index]) for rule, pair in ends.items()}
        found.append(_figure(period, f"owners, minus the rule: {end} end of 95 %", bounds))
    won = {rule: 100.0 * (gap.mean(axis=1) < 0.0) for rule, gap in gaps.items()}
    return [*found, _figure(period, "days on which the owners pay less than by the rule", won, "%")]


def _losses(period: str, costs: dict[str, Costs], name: str) -> list[str]:
    """Say where a rule does better."""
    return [
        f"{period}: {rule} is cheaper for the {who}"
        for who in ("owners", "community")
        for rule in RULES
        if getattr(costs[rule], who).mean() <= getattr(costs[name], who).mean()
    ]


def _figure(
    period: str, measure: str, values: dict[str, np.ndarray], unit: str = "EUR/day"
) -> Figure:
    means = {name: round(float(value.mean()), 3) for name, value in values.items()}
    return Figure(period=period, measure=measure, unit=unit, values=means)


def golden(seen: np.ndarray, count: int = 12) -> np.ndarray:
    """Return some of the observations seen, spread over the whole of training."""
    return seen[np.linspace(0, len(seen) - 1, count).astype(int)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenario", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3_000_000, help="decisions of one prosumer")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lanes", type=int, default=4, help="simulations side by side")
    parser.add_argument("--width", type=int, default=64, help="neurons in each of two layers")
    parser.add_argument("--team", type=float, default=0.5, help="share of the owners' mean worth")
    options = parser.parse_args(arguments)
    try:
        run(options)
    except CosimError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def run(options: argparse.Namespace) -> None:
    """Do what the command line says."""
    case = load_case(load_scenario(options.scenario))
    scale, begin = scaling(case), time.perf_counter()
    policy, seen = train(case, scale, options)
    wall_s = time.perf_counter() - begin
    model = to_onnx(policy, scale)
    name = options.out.name
    with tempfile.TemporaryDirectory() as folder:
        trial = description(case, options, wall_s, _unjudged())
        write_bundle(Path(folder), model, scale, golden(seen), trial)
        learnt = Onnx(bundle=folder).bound(Path(), case.grid.interval_s)
        record = evaluation(case, learnt, name)
    write_bundle(options.out, model, scale, golden(seen),
                 description(case, options, wall_s, record))  # fmt: skip
    for figure in record.figures:
        print(f"{figure.period}; {figure.measure} [{figure.unit}]: {figure.values}")
    print(f"{wall_s:.0f} s; {options.out / CARD}")


def _unjudged() -> Evaluation:
    nothing = Figure(period="none", measure="none", unit="-", values={"none": 0.0})
    return Evaluation(measured="not yet", against=("none",), days=("none",), seeds=(0,),
                      figures=(nothing,), caveats=("not yet judged",))  # fmt: skip


def description(
    case: Case, options: argparse.Namespace, wall_s: float, record: Evaluation
) -> Description:
    """Return what the card says beside the model."""
    import stable_baselines3
    import torch

    scenario_sha256 = hashlib.sha256(options.scenario.read_bytes()).hexdigest()
    command = (
        f"python tools/train_shared_policy.py --scenario {options.scenario} --out {options.out} "
        f"--steps {options.steps} --seed {options.seed} --lanes {options.lanes} "
        f"--width {options.width} --team {options.team}"
    )
    return Description(
        name=options.out.name,
        version="1",
        licence="MIT",
        framework=f"stable-baselines3 {stable_baselines3.__version__}, "
        f"torch {torch.__version__.partition('+')[0]}",
        algorithm=f"PPO, one policy for all, 2 x {options.width} tanh",
        interval_s=case.grid.interval_s,
        training=Training(
            scenario=str(options.scenario),
            scenario_sha256=scenario_sha256,
            seeds=(options.seed,),
            steps=options.steps,
            wall_s=round(wall_s, 1),
            command=command,
            notes=(
                "worth: minus settled bill, minus wear, plus the change in stored energy at the "
                "lowest retail price times the root of the efficiency, per kW of rating",
                f"reward: {1 - options.team:g} own worth + {options.team:g} that of all owners",
                "episodes of 3 training days, batteries filled by chance; no warm start",
                "the model data (load, PV) come from SimBench, ODbL",
            ),
        ),
        evaluation=record,
    )


if __name__ == "__main__":
    sys.exit(main())
