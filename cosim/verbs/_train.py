"""A training from the command line: options, progress, interruption, and what is said."""

from __future__ import annotations

import argparse
import importlib.util
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cosim.errors import InputError, Problem, did_you_mean
from cosim.verbs._common import load, ready, take_plugins
from cosim.verbs._listed import numbers
from cosim.verbs._running import INTERRUPTED, Say, interruption

if TYPE_CHECKING:
    from cosim.scenario import LoadedScenario
    from cosim.training.learner import News
    from cosim.training.settings import Settings

EXTRA = ("torch", "stable_baselines3", "gymnasium")


def train_policy(arguments: argparse.Namespace) -> int:
    """Train a policy; return the exit code."""
    _check_extra()
    from cosim.training.learner import StoppedError
    from cosim.training.settings import settings_of
    from cosim.training.train import Request, check_folder, train, trainee

    say = Say(arguments.quiet)
    _check_numbers(arguments)
    settings = settings_of(arguments.preset, arguments.config, _options(arguments))
    days = None if arguments.days is None else tuple(sorted(numbers(arguments.days, "--days")))
    take_plugins(arguments.plugins)
    check_folder(arguments.out, arguments.resume)
    loaded = load(arguments.scenario, arguments.overrides)
    _check_policy(loaded, arguments.policy)
    _check_days(loaded, settings, days)
    case = ready(loaded)
    boards = importlib.util.find_spec("tensorboard") is not None
    request = Request(
        policy=trainee(case, arguments.policy),
        algorithm=arguments.algorithm,
        settings=settings,
        out=arguments.out,
        steps=arguments.steps,
        seed=arguments.seed,
        lanes=arguments.lanes,
        days=days,
        judged_days=arguments.judged_days,
        licence=arguments.licence,
        tensorboard=boards,
        command=shlex.join(command(arguments)),
    )
    if not boards:
        say("note", "tensorboard is not installed: no logs for it, the learning curve is written")
    try:
        with interruption() as stop, bar(arguments.steps, arguments.quiet) as told:
            bundle = train(
                case, request, resume=arguments.resume, told=told, said=say, stop=stop
            )  # fmt: skip
    except StoppedError:
        again = shlex.join([*command(arguments), "--resume"])
        print(f"interrupted; go on with:\n{again}", file=sys.stderr)
        return INTERRUPTED
    say("checked", f"{len(bundle.card.golden)} golden vectors replayed")
    print(arguments.out)
    return 0


def command(arguments: argparse.Namespace) -> list[str]:
    """Return the command line that asks for the same, without ``--resume``."""
    words = ["python", "-m", "cosim", "train", arguments.scenario]
    for name in ("algorithm", "policy", "out", "steps", "seed", "lanes", "preset", "config",
                 "reward", "team", "community", "days", "judged_days", "licence"):  # fmt: skip
        value = getattr(arguments, name)
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    words += [word for text in arguments.overrides for word in ("--set", text)]
    return words + [word for folder in arguments.plugins for word in ("--plugins", str(folder))]


def _check_extra() -> None:
    """Raise InputError where the libraries of learning are not installed."""
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        what = f"training needs {', '.join(missing)}, which a run does not"
        raise InputError(Problem(what, remedy="pip install -e '.[train]'"))


def _check_numbers(arguments: argparse.Namespace) -> None:
    """Raise InputError for numbers that mean nothing, all at once."""
    least = {"steps": 1, "seed": 0, "lanes": 1, "judged_days": 0}
    most = {"seed": 2**32 - 1, "lanes": 4096}
    wrong = [
        Problem(f"{getattr(arguments, name)} is too "
                + ("small" if getattr(arguments, name) < low else "large"),
                f"--{name.replace('_', '-')}", remedy=f"at least {low}"
                + (f", at most {most[name]}" if name in most else ""))
        for name, low in least.items()
        if not low <= getattr(arguments, name) <= most.get(name, sys.maxsize)
    ]  # fmt: skip
    if wrong:
        raise InputError(wrong)


def _check_policy(loaded: LoadedScenario, wanted: str | None) -> None:
    """Raise InputError for a policy that no group of the scenario follows."""
    followed = {group.policy for group in loaded.scenario.groups.values()}
    if wanted is not None and wanted not in followed:
        what = f"no participant is served by a policy '{wanted}'"
        raise InputError(Problem(what, "--policy", remedy=did_you_mean(wanted, followed)))


def _check_days(loaded: LoadedScenario, chosen: Settings, days: Sequence[int] | None) -> None:
    """Raise InputError where there are no such days to train on, before any data are loaded."""
    from cosim.training.days import blocks, no_days, training_days_on

    free = training_days_on(loaded.scenario.grid(), chosen.calendar, days)
    if not blocks(free, chosen.episode_days):
        raise no_days(chosen.episode_days)


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that options name."""
    found: dict[str, Any] = {
        name: getattr(arguments, name)
        for name in ("team", "community")
        if getattr(arguments, name) is not None
    }
    if arguments.reward is not None:
        found["reward"] = weights(arguments.reward)
    return found


def weights(text: str) -> dict[str, float]:
    """Return the weights of ``co2=1.0,wear=0.5``; raise InputError for anything else."""
    from cosim.training.terms import Weights

    found: dict[str, float] = {}
    problems = []
    for part in text.split(","):
        name, _, value = (word.strip() for word in part.partition("="))
        if name not in Weights.model_fields:
            hint = did_you_mean(name, Weights.model_fields)
            problems.append(Problem(f"no term '{name[:60]}'", "--reward", remedy=hint))
            continue
        if name in found:
            problems.append(Problem(f"'{name}' stands twice", "--reward", remedy="keep one"))
        try:
            found[name] = float(value)
        except ValueError:
            problems.append(Problem(f"'{part[:60]}' gives no weight", "--reward",
                                    remedy=f"write {name}=1.0"))  # fmt: skip
    if problems:
        raise InputError(problems)
    return found


@contextmanager
def bar(steps: int, quiet: bool) -> Iterator[Callable[[News], None]]:
    """Show a bar with reward and time left on stderr; only on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda news: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    progress = Progress(
        BarColumn(bar_width=20),
        TextColumn("{task.completed:,.0f} decisions"),
        TextColumn("{task.fields[reward]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(stderr=True),
        transient=True,
    )
    with progress:
        task = progress.add_task("train", total=steps, reward="")

        def told(news: News) -> None:
            progress.update(task, completed=news.steps, reward=f"reward {news.reward:.4f}")

        yield told


__all__: Sequence[str] = ("command", "train_policy", "weights")
