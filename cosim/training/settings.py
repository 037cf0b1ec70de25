"""What a training is asked for: algorithm, hyperparameters, reward, days; checked as a whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from cosim.bundle.parts import Calendar
from cosim.document import read_document
from cosim.errors import InputError, Problem, did_you_mean
from cosim.observe import FEATURES
from cosim.section import Section
from cosim.training.export import RATING, ShareOf
from cosim.training.signals import OBSERVED
from cosim.training.terms import Weights
from cosim.validation import problems_from_validation

Algorithm = Literal["ppo", "ppo_joint", "sac"]
ALGORITHMS: tuple[Algorithm, ...] = ("ppo", "ppo_joint", "sac")


class Ppo(Section):
    """Hyperparameters of PPO; the learning rate falls linearly to ``learning_rate_end``."""

    learning_rate: float = Field(1e-3, gt=0.0)
    learning_rate_end: float = Field(1e-5, ge=0.0)
    n_steps: int = Field(288, ge=8, description="decisions of each slot before an update")
    batch_size: int = Field(1024, ge=2, description="at most: what divides an update's decisions")
    n_epochs: int = Field(5, ge=1)
    gamma: float = Field(0.995, gt=0.0, le=1.0)
    gae_lambda: float = Field(0.95, ge=0.0, le=1.0)
    clip_range: float = Field(0.2, gt=0.0)
    ent_coef: float = Field(0.0, ge=0.0)
    vf_coef: float = Field(0.5, ge=0.0)
    max_grad_norm: float = Field(0.5, gt=0.0)
    log_std_init: float = Field(-0.7, description="of the exploration at the begin")


class Sac(Section):
    """Hyperparameters of SAC; sizes count decisions of single slots."""

    learning_rate: float = Field(3e-4, gt=0.0)
    buffer_size: int = Field(200_000, ge=1000)
    learning_starts: int = Field(5_000, ge=1)
    batch_size: int = Field(256, ge=2)
    tau: float = Field(0.005, gt=0.0, le=1.0)
    gamma: float = Field(0.99, gt=0.0, le=1.0)
    gradient_steps: int = Field(1, ge=1, description="updates after each interval of all slots")


class Settings(Section):
    """All that shapes a training beside scenario, seed and length: the file of ``--config``."""

    ppo: Ppo = Ppo()
    sac: Sac = Sac()
    layers: tuple[int, ...] = Field((64, 64), max_length=8, description="widths of the policy")
    critic_layers: tuple[int, ...] = Field((64, 64), max_length=8)
    features: tuple[str, ...] = OBSERVED
    share_of: ShareOf = Field(
        "feasible", description="of what actions are shares: rating, or what the battery can hold"
    )
    episode_days: int = Field(3, ge=1, le=366)
    fillings: Literal["drawn", "scenario"] = Field(
        "drawn", description="how full batteries begin: by chance, or as the scenario says"
    )
    horizon: Literal["open", "closed"] = Field(
        "open", description="the world goes on after an episode, or only what is stored counts"
    )
    calendar: Calendar = Calendar()
    reward: Weights = Weights()
    team: float = Field(0.5, ge=0.0, le=1.0, description="share of all learners' worth")
    community: float = Field(0.0, ge=0.0, le=1.0, description="share of everybody's worth")

    def rollout(self, algorithm: Algorithm) -> int:
        """Return how many decisions each slot takes before an update; a training has whole ones."""
        return 1 if algorithm == "sac" else self.ppo.n_steps

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        for name in self.features:
            if name not in FEATURES:
                raise ValueError(f"unknown feature '{name}'; {did_you_mean(name, FEATURES)}")
        if RATING not in self.features or len(set(self.features)) < len(self.features):
            raise ValueError(f"features must hold '{RATING}', and none twice")
        if self.team + self.community > 1.0:
            raise ValueError("team and community are shares: together at most 1")
        if any(not 1 <= width <= 4096 for width in (*self.layers, *self.critic_layers)):
            raise ValueError("a layer is 1 to 4096 wide")
        return self


#: what published studies of local markets use for PPO, one environment, two layers of 64
DOCUMENTS = {
    "ppo": {
        "learning_rate": 3e-4, "learning_rate_end": 3e-4, "n_steps": 4096, "batch_size": 256,
        "n_epochs": 10, "gamma": 0.99, "gae_lambda": 0.95, "clip_range": 0.2, "log_std_init": 0.0,
    },
}  # fmt: skip
PRESETS: dict[str, dict[str, Any]] = {"lanes": {}, "documents": DOCUMENTS}
#: episodes side by side, where nobody says how many
LANES = {"lanes": 4, "documents": 1}


def settings_of(
    preset: str, file: Path | None = None, options: dict[str, Any] | None = None
) -> Settings:
    """Return a preset, overlaid by a file of settings, overlaid by ``options``.

    Raises InputError with every problem, each with its place in the file.
    """
    if preset not in PRESETS:
        raise InputError(
            Problem(f"unknown preset '{preset}'", "--preset", remedy=did_you_mean(preset, PRESETS))
        )
    tree = _merged(PRESETS[preset], {})
    if file is not None:
        document = read_document(file)
        try:
            Settings.model_validate_json(json.dumps(document.tree))
        except ValidationError as error:
            raise InputError(problems_from_validation(error, document, _known)) from None
        tree = _merged(tree, document.tree)
    try:
        return Settings.model_validate_json(json.dumps(_merged(tree, options or {})))
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
    raise InputError([Problem(_said(item), _option(item["loc"])) for item in found])


def _said(item: Any) -> str:
    """Return what is wrong in plain words, without the name where the option says it."""
    words = str(item["msg"]).removeprefix("Value error, ")
    words = words.replace("Input should be", "must be")
    name = ".".join(map(str, item["loc"]))
    return words if not name or _option(item["loc"]) == f"--{name}" else f"{name} {words}"


def _option(place: tuple[int | str, ...]) -> str:
    return f"--{place[0]}" if place and place[0] in {"reward", "team", "community"} else "settings"


def _known(path: tuple[str | int, ...]) -> list[str]:
    """Return the keys a file of settings may hold at a path."""
    model: Any = Settings
    for step in path:
        field = model.model_fields.get(step)
        model = None if field is None else field.annotation
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return []
    return list(model.model_fields)


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return a tree laid over another."""
    both = dict(base)
    for key, value in changes.items():
        old = both.get(key)
        nested = isinstance(value, dict) and isinstance(old, dict)
        both[key] = _merged(old, value) if nested else value  # type: ignore[arg-type]
    return both
