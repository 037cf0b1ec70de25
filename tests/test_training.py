"""Training as a verb: rewards, learners of every kind, interruption, the bundle that comes out."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("stable_baselines3")

from agents.onnx import Onnx
from agents.self_consumption import SelfConsumption
from cosim.__main__ import main
from cosim.bundle.card import CARD, MODEL
from cosim.bundle.load import load_bundle
from cosim.case import Case, load_case
from cosim.errors import InputError
from cosim.lanes import Step
from cosim.optimum.plan import optimum
from cosim.policy import Policy
from cosim.scenario import load_scenario
from cosim.simulation import Simulation
from cosim.studies.trials import Trial, drawn_case
from cosim.training.checkpoint import FILE, alone, make_folder
from cosim.training.days import EVERY_DAY
from cosim.training.lane import Purse, stored_value
from cosim.training.learner import News, StoppedError
from cosim.training.settings import LANES, PRESETS, Ppo, Sac, Settings, settings_of
from cosim.training.signals import REWARD_SCALE, learnt_scaling
from cosim.training.terms import Weights, terms_eur
from cosim.training.train import CURVE, Request, train, trainee
from cosim.training.vec_env import Deal, SharedVecEnv
from cosim.verbs._first_judgement import first_judgement
from cosim.verbs._running import Say
from cosim.verbs._train import lanes_of
from cosim.verbs.train import add_arguments

ALL = Weights(
    bill=1.0, wear=2.0, stored=0.5, idle=1.0, co2=0.3, overload=4.0, voltage=0.2, fairness=0.6,
    intervention=0.05,
)  # fmt: skip
SHORT = Settings(
    episode_days=1,
    layers=(8,),
    critic_layers=(8,),
    calendar=EVERY_DAY,
    ppo=Ppo(n_steps=20, batch_size=64, n_epochs=2),
    sac=Sac(learning_starts=100, batch_size=32, buffer_size=2000),
)


def asked(out: Path, algorithm: Any = "ppo", **more: Any) -> Request:
    given = {"settings": SHORT, "steps": 600, "seed": 3, "lanes": 2} | more
    return Request("learner", algorithm, out=out, **given)


# ---------------------------------------------------------------- rewards


def lived_through(case: Case, deal: Deal, joint: bool = False) -> list[Any]:
    """Return rewards and infos of some steps with actions drawn at random, and the env."""
    rows = case.seats[0].rows
    scaling = learnt_scaling(case, rows, Settings().features, "rating")
    env = SharedVecEnv(case, "learner", scaling, lanes=2, days=1, seed=4, joint=joint, deal=deal,
                       calendar=EVERY_DAY)  # fmt: skip
    env.reset()
    random = np.random.default_rng(5)
    steps = []
    world = env._world
    for _ in range(30):
        kept: list[Step] = []
        real = world.step
        world.step = lambda given, real=real, kept=kept: kept.append(real(given)) or kept[0]
        _, rewards, _, infos = env.step(
            random.uniform(-1, 1, (env.num_envs, *env.action_space.shape))
        )
        world.step = real
        steps.append((kept[0], rewards, infos))
    return steps


def test_terms_are_named_visible_and_sum_to_the_reward(home: Case) -> None:
    for joint in (False, True):
        for _, rewards, infos in lived_through(home, Deal(ALL, 0.3, 0.2), joint):
            terms = [[info[f"reward_{name}"] for name in ALL.names] for info in infos]
            assert all(len(info) == len(ALL.names) for info in infos)
            np.testing.assert_allclose(np.sum(terms, axis=1), rewards, rtol=0, atol=1e-12)


def test_terms_are_what_they_say(home: Case) -> None:
    """Each term worked out anew from what the lanes report, one prosumer at a time."""
    rows, value = home.seats[0].rows, np.zeros(len(home.population))
    value[rows] = stored_value(home, rows)
    tight = replace(home, limits=replace(home.limits, vm_min_pu=1.05, line_percent=0.01))
    for step, _, _ in lived_through(home, Deal(ALL))[:6]:
        found = dict(zip(ALL.names, np.moveaxis(terms_eur(tight, step, value, rows, ALL), -1, 0),
                         strict=True))  # fmt: skip
        bills, metered, h = step.bills, step.metered, home.grid.interval_h
        for lane in range(2):
            own = []
            for i in range(len(home.population)):
                net = metered.load_kwh[lane, i] - metered.pv_kwh[lane, i]
                prices = step.trade.asked.prices
                price = (prices.retail_eur_per_kwh if net > 0 else prices.feed_in_eur_per_kwh)[
                    lane, i
                ]
                assert found["bill"][lane, i] == pytest.approx(-bills.bill_eur[lane, i])
                assert found["idle"][lane, i] == pytest.approx(net * price)
                assert found["co2"][lane, i] == pytest.approx(-0.3 * bills.co2_kg[lane, i])
                cut = step.trade.asked.requested.battery_kw - step.trade.guarded.decision.battery_kw
                assert found["intervention"][lane, i] == pytest.approx(
                    -0.05 * h * abs(cut[lane, i])
                )
                gained = metered.energy_kwh[lane, i] - step.before_kwh[lane, i]
                own.append(-bills.bill_eur[lane, i] - bills.wear_eur[lane, i] + value[i] * gained)
            rating = home.population.rating_kw[rows]
            mean = sum(own[i] for i in rows) / rating.sum()
            for place, i in enumerate(rows):
                uneven = abs(own[i] - mean * rating[place])
                assert found["fairness"][lane, i] == pytest.approx(-0.6 * uneven, abs=1e-12)
            grid = step.delivery.grid
            over = np.nansum(np.maximum(grid.line_loading_percent[lane] / 0.01 - 1.0, 0.0))
            over += np.nansum(np.maximum(grid.trafo_loading_percent[lane] / 100.0 - 1.0, 0.0))
            low = np.nansum(np.maximum(1.05 - grid.vm_pu[lane], 0.0))
            assert over > 0.0 and low > 0.0
            assert found["overload"][lane].sum() == pytest.approx(-4.0 * h * over)
            assert found["voltage"][lane].sum() == pytest.approx(-0.2 * h * 100.0 * low)
            assert not found["voltage"][lane, home.seats[1].rows].any()


def test_shares_of_others_mix_the_worth(home: Case) -> None:
    size = home.population.rating_kw[home.seats[0].rows]
    runs = {
        deal: lived_through(home, deal)
        for deal in (Deal(), Deal(team=1.0), Deal(community=1.0), Deal(team=0.25, community=0.5))
    }
    alone, team, everybody, mixed = ([r for _, r, _ in run] for run in runs.values())
    for a, t, e, m, (step, _, _) in zip(alone, team, everybody, mixed, runs[Deal()], strict=True):
        own = a.reshape(2, -1)
        np.testing.assert_allclose(t.reshape(2, -1), ((own * size).sum(1) / size.sum())[:, None]
                                   * np.ones_like(own), atol=1e-12)  # fmt: skip
        others = -step.bills.bill_eur[:, home.seats[1].rows].sum(1) * REWARD_SCALE / size.sum()
        np.testing.assert_allclose(e, (t.reshape(2, -1) + others[:, None]).ravel(), atol=1e-12)
        np.testing.assert_allclose(m, 0.25 * a + 0.25 * t + 0.5 * e, atol=1e-12)


def test_what_is_feasible_is_not_cut(home: Case) -> None:
    rows = home.seats[0].rows
    scaling = learnt_scaling(home, rows, Settings().features, "feasible")
    env = SharedVecEnv(home, "learner", scaling, lanes=2, days=1, seed=4, calendar=EVERY_DAY)
    env.reset()
    cut, moved = 0, 0.0
    for k in range(48):
        action = np.full((env.num_envs, 1), (-1.0, 1.0, 0.4)[k % 3], np.float32)
        step = env._world.step({"learner": env._decisions(action)})
        env._seen()
        cut += int(step.trade.guarded.reason[:, rows].any())
        moved += float(np.abs(step.delivery.flow.battery_kw[:, rows]).sum())
    assert cut == 0 and moved > 50.0


# ---------------------------------------------------------------- learning


@pytest.mark.parametrize("algorithm", ["ppo", "ppo_joint", "sac"])
def test_each_algorithm_makes_a_bundle_that_runs(
    home: Case, algorithm: str, tmp_path: Path
) -> None:
    out, news = tmp_path / "mine", list[News]()
    bundle = train(home, asked(out, algorithm), told=news.append)
    card = bundle.card
    assert card.training.steps >= 600 and card.training.calendar == EVERY_DAY
    assert card.scope == ("joint" if algorithm == "ppo_joint" else "agent")
    assert sorted(p.name for p in out.iterdir()) == [CARD, CURVE, MODEL]
    lines = (out / CURVE).read_text().splitlines()
    assert lines[0].startswith("steps,wall_s,reward,reward_bill") and len(lines) > 2
    columns = np.array([[float(cell) for cell in line.split(",")] for line in lines[1:]])
    np.testing.assert_allclose(columns[:, 2], columns[:, 3:].sum(1), atol=1e-12)
    assert columns[-1, 0] == card.training.steps and (np.diff(columns[:, 0]) > 0).all()
    assert news and news[-1].steps <= card.training.steps
    assert np.isfinite(cost(home, Onnx(bundle=str(out)).bound(tmp_path, 1800)))


def cost(case: Case, policy: Policy) -> float:
    """Return what a day costs the community with a policy in the learner's seat [EUR]."""
    everybody = np.arange(len(case.population))
    seats = tuple(replace(s, policy=policy) if s.name == "learner" else s for s in case.seats)
    own = replace(case, seats=seats)
    purse = Purse(own, everybody, stored_value(case, everybody))
    Simulation(own, purse).run()
    return -float(purse.take().sum())


class Impatient:
    """Asks to stop when so many steps have been told of."""

    def __init__(self, after: int) -> None:
        self.asked, self._after = False, after

    def told(self, news: News) -> None:
        self.asked = self.asked or news.steps >= self._after


@pytest.mark.parametrize("algorithm", ["ppo", "ppo_joint", "sac"])
def test_an_interrupted_training_ends_as_one_that_was_not(
    home: Case, algorithm: str, tmp_path: Path
) -> None:
    """Stopped in the middle of episodes and rollouts, resumed twice: the same weights."""
    whole, parts = tmp_path / "whole" / "p", tmp_path / "parts" / "p"
    train(home, asked(whole, algorithm))
    for after in (200, 420):
        stop = Impatient(after)
        with pytest.raises(StoppedError):
            train(home, asked(parts, algorithm), resume=after > 200, told=stop.told, stop=stop)
        assert (parts / FILE).is_file() and not (parts / CARD).exists()
    train(home, asked(parts, algorithm), resume=True)
    assert (parts / MODEL).read_bytes() == (whole / MODEL).read_bytes()
    curves = [(place / CURVE).read_text().splitlines() for place in (whole, parts)]
    without_clock = [[line.split(",")[::2] for line in curve] for curve in curves]
    assert without_clock[0] == without_clock[1]
    goldens = [load_bundle(place).card.golden for place in (whole, parts)]
    assert goldens[0] == goldens[1]
    assert not (parts / FILE).exists()


def test_a_checkpoint_of_another_training_is_refused(home: Case, tmp_path: Path) -> None:
    stop = Impatient(100)
    with pytest.raises(StoppedError):
        train(home, asked(tmp_path), told=stop.told, stop=stop)
    with pytest.raises(InputError, match="--resume"):
        train(home, asked(tmp_path))
    other = SHORT.model_copy(update={"team": 0.25})
    with pytest.raises(InputError) as refused:
        train(home, asked(tmp_path, settings=other, seed=4), resume=True)
    assert [p.what.split()[0] for p in refused.value.problems] == ["seed", "setting"]
    (tmp_path / FILE).write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match="no checkpoint this program reads"):
        train(home, asked(tmp_path), resume=True)
    with pytest.raises(InputError, match="no training to resume"):
        train(home, asked(tmp_path / "elsewhere"), resume=True)


KILLED = """
import sys
from pathlib import Path
from cosim.case import load_case
from cosim.scenario import load_scenario
from cosim.training.settings import Settings
from cosim.training.train import Request, train

scenario, settings, out = sys.argv[1:]
request = Request("learner", "ppo", Settings.model_validate_json(settings), Path(out), 4000, 3, 2,
                  every_s=0.0)
train(load_case(load_scenario(scenario)), request)
"""


def test_what_a_kill_leaves_is_taken_up_as_if_nothing_had_been(home: Case, tmp_path: Path) -> None:
    """SIGKILL at any moment: the last checkpoint is whole, and leads to the same weights."""
    whole, parts = tmp_path / "whole" / "p", tmp_path / "parts" / "p"
    long = {"steps": 4000, "every_s": 0.0}
    train(home, asked(whole, **long))
    scenario = str(home.loaded.source.files[0][0])
    command = [sys.executable, "-c", KILLED, scenario, SHORT.model_dump_json(), str(parts)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    with subprocess.Popen(command, env=env) as child:
        while child.poll() is None and not (parts / FILE).exists():
            time.sleep(0.01)
        child.kill()
    assert child.returncode == -signal.SIGKILL and not (parts / CARD).exists()
    train(home, asked(parts, **long), resume=True)
    assert (parts / MODEL).read_bytes() == (whole / MODEL).read_bytes()


@pytest.mark.parametrize("algorithm", ["ppo", "ppo_joint", "sac"])
def test_a_training_says_how_many_decisions_it_will_make(
    algorithm: str, home: Case, tmp_path: Path
) -> None:
    told: dict[str, str] = {}
    request = asked(tmp_path / "p", algorithm, steps=101)
    bundle = train(home, request, said=lambda phase, text: told.update({phase: text}))
    made = bundle.card.training.steps
    assert made > 101 and f"; {made} decisions, in " in told["training"]


def test_ctrl_c_keeps_a_checkpoint_and_says_how_to_go_on(
    home: Case,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from cosim.training.learner import _Logbook

    stepped = _Logbook.stepped
    count = 0

    def interrupted(self: Any, *more: Any) -> None:
        nonlocal count
        count += 1
        if count == 30:
            os.kill(os.getpid(), signal.SIGINT)
        stepped(self, *more)

    monkeypatch.setattr(_Logbook, "stepped", interrupted)
    config, out = tmp_path / "settings.yaml", tmp_path / "out"
    config.write_text(json.dumps(SHORT.model_dump(mode="json")))
    scenario = str(home.loaded.source.files[0][0])
    words = ["train", scenario, "--config", str(config), "--out", str(out), "--steps", "600"]
    assert main(words) == 130
    told = capsys.readouterr().err
    command = shlex.split(told.strip().splitlines()[-1])
    assert command[:4] == ["python", "-m", "cosim", "train"] and command[-1] == "--resume"
    assert (out / FILE).is_file()
    assert main(command[3:]) == 0
    assert (out / CARD).is_file() and not (out / FILE).exists()


def test_a_judgement_broken_off_is_made_up_by_the_command_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken_off(*given: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    chosen = SHORT.model_copy(update={"calendar": Settings().calendar})
    config, out = tmp_path / "settings.yaml", tmp_path / "out"
    config.write_text(json.dumps(chosen.model_dump(mode="json")))
    world = ["--set", "time.days=2", "--set", "time.interval_minutes=60"]
    with monkeypatch.context() as patch:
        patch.setattr("cosim.verbs._first_judgement.run_matrix", broken_off)
        words = ["train", "scenarios/ten_lines.yaml", *world, "--config", str(config)]
        assert main([*words, "--out", str(out), "--steps", "60"]) == 130
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "the policy is written, but not judged; judge it with:"
    assert load_bundle(out).card.evaluation is None and not (out / FILE).exists()
    command = shlex.split(told[1])
    assert command[:4] == ["python", "-m", "cosim", "evaluate"]
    assert main([*command[3:], "--workers", "1", "--out", str(tmp_path / "runs")]) == 0
    record = load_bundle(out).card.evaluation
    assert record is not None and record.against == ("self_consumption",)
    assert record.days[0].endswith(": [1]") and record.seeds == (101,)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_one_day_learnt_by_heart_costs_what_the_optimum_does(
    village_of: Any, learners: dict[str, Any], tmp_path: Path, seed: int
) -> None:
    """Four homes, one deterministic day, nothing kept: within 2 % of perfect foresight.

    The homes are rewarded for what all of them pay, which is what the optimum minimises.
    """
    case = village_of(4).case(**learners)
    best, rule = optimum(case).cost_eur, cost(case, SelfConsumption())
    settings = Settings(
        episode_days=1,
        fillings="scenario",
        horizon="closed",
        calendar=EVERY_DAY,
        reward=Weights(idle=1.0),
        team=1.0,
        ppo=Ppo(learning_rate=2e-3, n_steps=48, batch_size=1024, n_epochs=10, gamma=1.0,
                gae_lambda=0.9, log_std_init=-1.0),
    )  # fmt: skip
    request = asked(tmp_path / "o", settings=settings, steps=1_228_800, seed=seed, lanes=64)
    train(case, request)
    learnt = cost(case, Onnx(bundle=str(tmp_path / "o")).bound(tmp_path, 1800))
    assert rule > 1.3 * best  # there is something to learn
    assert best - 1e-6 <= learnt <= 1.02 * best


# ---------------------------------------------------------------- what is asked for


def test_a_preset_says_how_many_lanes() -> None:
    """One environment is what the documents speak of; who names a number gets it."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    for words, lanes in (
        ([], 4),
        (["--preset", "documents"], 1),
        (["--preset", "documents", "--lanes", "3"], 3),
    ):
        assert lanes_of(parser.parse_args(["s", "--out", "o", *words])) == lanes
    assert set(LANES) == set(PRESETS)


def test_the_documents_preset_is_theirs() -> None:
    own = settings_of("documents").ppo
    assert (own.learning_rate, own.n_steps, own.batch_size) == (3e-4, 4096, 256)
    assert (own.gamma, own.clip_range, own.gae_lambda) == (0.99, 0.2, 0.95)


def test_the_page_holds_all_settings_and_their_defaults() -> None:
    page = Path(__file__).resolve().parent.parent / "docs" / "training.md"
    block = page.read_text().partition("```text\n")[2].partition("```")[0]
    assert Settings.model_validate_json(json.dumps(yaml.safe_load(block))) == Settings()
    assert {*yaml.safe_load(block)} == {*Settings.model_fields}
    assert {*yaml.safe_load(block)["reward"]} == {*Weights.model_fields}


def test_settings_are_checked_with_their_place(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("ppo:\n  learning_rat: 1.0e-3\nteam: 2\nfeatures: [soc]\n")
    with pytest.raises(InputError) as refused:
        settings_of("lanes", file)
    told = str(refused.value)
    assert "own.yaml:2:3" in told and "learning_rate" in told and "own.yaml:3:7" in told
    file.write_text("ppo: {gamma: 0.9}\nlayers: [32]\nreward: {co2: 2}\n")
    found = settings_of("documents", file, {"reward": {"wear": 0.5}, "team": 0.1})
    assert (found.ppo.gamma, found.ppo.n_steps, found.layers) == (0.9, 4096, (32,))
    assert (found.reward.co2, found.reward.wear, found.team) == (2.0, 0.5, 0.1)
    with pytest.raises(InputError, match="together at most 1"):
        settings_of("lanes", None, {"team": 0.7, "community": 0.7})
    with pytest.raises(InputError, match="did you mean 'documents'"):
        settings_of("document")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--reward", "co=1"], "did you mean 'co2'"),
        (["--reward", "co2"], "gives no weight"),
        (["--reward", "co2=-1"], "reward.co2"),
        (["--steps", "0", "--lanes", "0"], "--lanes"),
        (["--policy", "lerner"], "did you mean 'learner'"),
        (["--days", "0"], "kept from it: 0"),
        (["--days", "x"], "is no number"),
        (["--days", "5-2"], "runs backwards"),
        (["--days", "0-99999999999"], "too long a range"),
        (["--reward", "co2=1,co2=2"], "'co2' stands twice"),
        (["--team", "1.5"], "--team"),
        ([], "no 3 training days in a row"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_message(
    home: Case, words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = str(home.loaded.source.files[0][0])
    calendar = tmp_path / "settings.yaml"
    calendar.write_text(
        "calendar: {test_weeks: [], test: [], calibrate: [7]}\n"
        if words[:1] == ["--days"]
        else "calendar: {test_weeks: [], test: []}\n"
    )
    command = ["train", scenario, "--config", str(calendar), "--out", str(tmp_path / "o"), *words]
    assert main(command) == 2
    told = capsys.readouterr().err
    assert said in told and "Traceback" not in told
    assert not (tmp_path / "o").exists()


def test_where_nothing_can_be_written_nothing_is_learnt(
    home: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = str(home.loaded.source.files[0][0])
    settings = tmp_path / "settings.yaml"
    settings.write_text("calendar: {test_weeks: [], test: [], calibrate: []}\nepisode_days: 1\n")
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "out"
    command = ["train", scenario, "--config", str(settings), "--out", str(place), "--steps", "9"]
    assert main(command) == 74
    told = capsys.readouterr()
    assert "cannot write into" in told.err and "trained" not in told.out


def test_two_trainings_do_not_share_a_folder(home: Case, tmp_path: Path) -> None:
    request = asked(tmp_path / "o")
    make_folder(request.out)
    with alone(request.out), pytest.raises(InputError, match="another training is under way"):
        train(home, request)
    assert train(home, request).card.golden  # let go of, it is free


def test_without_the_libraries_of_learning_it_says_so_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name == "torch" else real(name, *more),
    )
    assert main(["train", "none.yaml", "--out", str(tmp_path / "o")]) == 2
    told = capsys.readouterr().err
    assert told.startswith("training needs torch") and "pip install" in told


def test_the_trainee_is_found_or_asked_for(home: Case, village: Any) -> None:
    assert trainee(home, None) == "learner" and trainee(home, "passive") == "passive"
    with pytest.raises(InputError, match="several policies serve batteries: rule, random"):
        trainee(village.case(), None)


# ---------------------------------------------------------------- what was learnt


def test_what_is_written_in_the_card_is_measured_on_test_days(tmp_path: Path) -> None:
    """The rule of held-out days, worked out anew from the scenario."""
    case = load_case(load_scenario("scenarios/ten_lines.yaml", ["time.days=8"]))
    settings = SHORT.model_copy(update={"calendar": Settings().calendar})
    request = asked(tmp_path / "p", settings=settings, steps=200)
    request = replace(request, policy=trainee(case, None))
    assert train(case, request).card.evaluation is None
    first_judgement(case, request.policy, request.out, settings.calendar, 2, Say(quiet=True))
    card = load_bundle(request.out).card
    record = card.evaluation
    assert record is not None and record.foresight is None, "two days have no interval"
    assert record.days[0].endswith(": [1,5]")  # 16 and 20 June
    figures = {figure.measure: figure.values for figure in record.figures}
    rule = np.mean([cost_of_all(drawn_case(case, Trial(d, 1, 101))) for d in (1, 5)])
    assert figures["cost of the community"]["self_consumption"] == pytest.approx(rule, abs=1e-3)
    assert card.training.calendar == Settings().calendar


def cost_of_all(case: Case) -> float:
    everybody = np.arange(len(case.population))
    seats = (replace(case.seats[0], policy=SelfConsumption()), *case.seats[1:])
    own = replace(case, seats=seats)
    purse = Purse(own, everybody, stored_value(case, everybody))
    Simulation(own, purse).run()
    return -float(purse.take().sum())
