"""What a training logs: TensorBoard's events are its learning curve, and nothing is left about."""

from __future__ import annotations

import csv
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")
pytest.importorskip("tensorboard")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from cosim.case import Case
from cosim.errors import OutputError
from cosim.training.board import logger_of
from cosim.training.checkpoint import FILE
from cosim.training.days import EVERY_DAY
from cosim.training.learner import News, StoppedError
from cosim.training.settings import Ppo, Sac, Settings
from cosim.training.train import CURVE, TENSORBOARD, Request, train

SHORT = Settings(
    episode_days=1,
    layers=(8,),
    critic_layers=(8,),
    calendar=EVERY_DAY,
    ppo=Ppo(n_steps=20, batch_size=64, n_epochs=2),
    sac=Sac(learning_starts=100, batch_size=32, buffer_size=2000),
)


class Impatient:
    """Asks to stop when so many steps have been told of."""

    def __init__(self, after: int) -> None:
        self.asked, self._after = False, after

    def told(self, news: News) -> None:
        self.asked = self.asked or news.steps >= self._after


def asked(out: Path, algorithm: Any, **more: Any) -> Request:
    given = {"settings": SHORT, "steps": 600, "seed": 3, "lanes": 2} | more
    return Request("learner", algorithm, out=out, tensorboard=True, **given)


def stopped(case: Case, request: Request, after: int, resume: bool) -> None:
    stop = Impatient(after)
    with pytest.raises(StoppedError):
        train(case, request, resume=resume, told=stop.told, stop=stop)


def curve_of(out: Path) -> dict[str, np.ndarray]:
    with (out / CURVE).open() as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def scalars_of(out: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return steps and values of each scalar, as TensorBoard shows them."""
    read = EventAccumulator(str(out / TENSORBOARD), size_guidance={"scalars": 0})
    read.Reload()
    found = {name: read.Scalars(name) for name in read.Tags()["scalars"]}
    return {
        name: (np.array([e.step for e in events]), np.array([e.value for e in events]))
        for name, events in found.items()
    }


def assert_same_curve(out: Path) -> None:
    """Every column of the learning curve is a scalar at the same steps, and no other is cosim's."""
    curve, scalars = curve_of(out), scalars_of(out)
    own = {name.removeprefix("cosim/") for name in scalars if name.startswith("cosim/")}
    assert own == {*curve} - {"steps"} and {"wall_s", "reward", "reward_bill"} <= own
    for name in own:
        steps, values = scalars[f"cosim/{name}"]
        np.testing.assert_array_equal(steps, curve["steps"])
        np.testing.assert_allclose(values, curve[name], rtol=1e-6, atol=1e-12)  # float32
    learnt = {name for name in scalars if not name.startswith("cosim/")}
    assert learnt and all(name.startswith("train/") for name in learnt)
    assert all(np.isin(scalars[name][0], curve["steps"]).all() for name in learnt)


@pytest.mark.parametrize("algorithm", ["ppo", "ppo_joint", "sac"])
def test_events_are_the_learning_curve(home: Case, algorithm: str, tmp_path: Path) -> None:
    out = tmp_path / "p"
    bundle = train(home, asked(out, algorithm))
    assert_same_curve(out)
    steps = curve_of(out)["steps"]
    assert len(steps) > 2 and steps[-1] == bundle.card.training.steps


@pytest.mark.parametrize("algorithm", ["ppo", "ppo_joint", "sac"])
def test_a_training_that_goes_on_draws_the_same_curve(
    home: Case, algorithm: str, tmp_path: Path
) -> None:
    """Stopped twice, and thrown back behind what was logged already, as by a kill."""
    whole, parts = tmp_path / "whole" / "p", tmp_path / "parts" / "p"
    train(home, asked(whole, algorithm))
    stopped(home, asked(parts, algorithm), 200, resume=False)
    shutil.copy(parts / FILE, tmp_path / FILE)
    stopped(home, asked(parts, algorithm), 420, resume=True)
    shutil.copy(tmp_path / FILE, parts / FILE)
    train(home, asked(parts, algorithm), resume=True)
    assert_same_curve(parts)
    files = sorted((parts / TENSORBOARD).iterdir())
    raw = [e.step for f in files for e in EventFileLoader(str(f)).Load() if e.HasField("summary")]
    assert len(files) == 3 and len(raw) > len({*raw}) * len(scalars_of(parts)), "nothing overlaps"
    one, other = scalars_of(whole), scalars_of(parts)
    assert {*one} == {*other}
    for name in {*one} - {"cosim/wall_s"}:
        np.testing.assert_array_equal(one[name], other[name])


def test_a_training_anew_is_not_drawn_over_the_one_before(tmp_path: Path) -> None:
    for values in ((5.0, 6.0, 7.0), (1.0, 2.0)):
        logger = logger_of(tmp_path / TENSORBOARD)
        for step, value in enumerate(values):
            logger.record("cosim/reward", value)
            logger.dump(step)
            seen = scalars_of(tmp_path)["cosim/reward"][1]
            assert seen.tolist() == list(values[: step + 1]), "a kill would lose what was written"
        logger.close()
    steps, values_seen = scalars_of(tmp_path)["cosim/reward"]
    assert steps.tolist() == [0, 1] and values_seen.tolist() == [1.0, 2.0]


def test_files_begun_in_one_second_are_read_in_their_order(tmp_path: Path) -> None:
    """Behind the second stand process and a count, of which 10 sorts before 9."""
    for step in range(3):
        logger = logger_of(tmp_path / TENSORBOARD, step)
        logger.record("cosim/reward", float(step))
        logger.dump(step)
        logger.close()
    seconds = [int(file.name.split(".")[3]) for file in (tmp_path / TENSORBOARD).iterdir()]
    assert len({*seconds}) == 3
    assert scalars_of(tmp_path)["cosim/reward"][0].tolist() == list(range(3))


def test_where_events_cannot_be_written_it_says_so(home: Case, tmp_path: Path) -> None:
    (tmp_path / TENSORBOARD).write_text("in the way")
    with pytest.raises(OutputError, match=f"cannot write '{tmp_path / TENSORBOARD}'"):
        train(home, asked(tmp_path, "ppo"))


@pytest.mark.parametrize("boards", [True, False])
@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_nothing_is_left_in_the_temporary_folder(
    home: Case, algorithm: str, boards: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    litter = tmp_path / "temporary"
    litter.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(litter))
    request = replace(asked(tmp_path / "p", algorithm), tensorboard=boards)
    stop = Impatient(300)
    with pytest.raises(StoppedError):
        train(home, request, told=stop.told, stop=stop)
    assert not [*litter.iterdir()]
    train(home, request, resume=True)
    assert not [*litter.iterdir()]
    assert (tmp_path / "p" / TENSORBOARD).exists() == boards
