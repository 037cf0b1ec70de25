"""What is refused is said early, at its place, and in words that help; nothing wrong slips in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosim.__main__ import _explained, main
from cosim.bundle.card import CARD
from cosim.errors import CosimError, InputError, OutputError, PluginError
from cosim.scenario import load_scenario

ROOT = Path(__file__).parent.parent
BUNDLE = ROOT / "agents" / "trained" / "shared_ppo"
Captured = pytest.CaptureFixture[str]
WHEN = 'start: "2016-06-15 10:00", end: "2016-06-15 12:00"'


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let any verb that loads the data of a scenario fail."""

    def loaded(*_: Any) -> Any:
        raise AssertionError("the case was loaded")

    for name in ("cosim.verbs._train.ready", "cosim.verbs._evaluation.ready",
                 "cosim.case.load_case", "cosim.safety.calibrate.load_case"):  # fmt: skip
        monkeypatch.setattr(name, loaded)


EVALUATE = ["evaluate", "plain_winter_week", "--policy", "shared_ppo"]
TRAIN = ["train", "plain_winter_week", "--out", "mine"]
CALIBRATE = ["policy", "calibrate", "plain_winter_week", "--policy", "rule", "--out", "s.json"]
#: name -> command, what is said
EARLY: dict[str, tuple[list[str], str]] = {
    "evaluate days": ([*EVALUATE, "--days", "9"], "--days: no 1 days from day 9 on"),
    "evaluate length": ([*EVALUATE, "--length", "8"], "--length: periods of 8 days"),
    "evaluate seeds": ([*EVALUATE, "--seeds", "x"], "--seeds: 'x' is no number"),
    "evaluate workers": ([*EVALUATE, "--workers", "0"], "--workers: 0 processes"),
    "evaluate baselines": ([*EVALUATE, "--baselines", ""], "--baselines: no baseline"),
    "evaluate baseline": ([*EVALUATE, "--baselines", "rnadom"], "did you mean 'random'?"),
    "train days": ([*TRAIN, "--days", "70"], "--days: day 70 is not among the 7 days"),
    "train held out": ([*TRAIN, "--days", "0"], "--days: training would see days that are kept"),
    "train resume": ([*TRAIN, "--resume"], "mine: there is no training to resume"),
    "train folder": ([*TRAIN[:-1], "taken"], "'taken' exists already"),
    "train policy": ([*TRAIN, "--policy", "ruel"], "--policy: no participant is served by"),
    "train nan": ([*TRAIN, "--team", "nan"], "--team: must be a finite number\n"),
    "train team": ([*TRAIN, "--team", "2"], "--team: must be less than or equal to 1\n"),
    "train both": ([*TRAIN, "--team", "1", "--community", "1"], "settings: team and community"),
    "calibrate days": ([*CALIBRATE, "--days", "70"], "--days: day 70 is not among the 7 days"),
    "calibrate few": ([*CALIBRATE, "--days", "0"], "--days: 1 days leave none to fit on"),
    "calibrate all": (CALIBRATE, ":7:"),  # the line of time.days, not an option nobody gave
}


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize("name", EARLY)
def test_what_can_be_refused_before_the_data_are_loaded_is(
    name: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("stable_baselines3")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(BUNDLE, "taken")
    command, said = EARLY[name]
    assert main(command) == 2
    told = capsys.readouterr().err
    if name == "calibrate all":
        assert "plain_winter_week.yaml" in told and "--days" not in told
        assert "7 days leave none" in told and "lengthen time.days" in told
    else:
        assert said in told
    assert {path.name for path in tmp_path.iterdir()} == {"taken"}


@pytest.mark.parametrize(
    "command",
    [
        [*TRAIN[:-1], ""],
        [*EVALUATE, "--out", " "],
        ["run", "ten_lines", "--out", ""],
        ["policy", "export", "shared_ppo", "--to", ""],
        ["policy", "import", "m.zip", "--features", "soc", "--actions", "battery_kw", "--to", ""],
        [*CALIBRATE[:-1], ""],
        [*CALIBRATE, "--write-card", ""],
        ["compare", "ten_lines", "--out", ""],
        ["compare-markets", "ten_lines", "--out", ""],
    ],
    ids=" ".join,
)
def test_an_empty_path_is_not_the_current_folder(
    command: list[str], tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(command) == 2
    assert "an empty path; write . for the current folder" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- scenarios


#: name -> override, what is said
WRONG: dict[str, tuple[str, str]] = {
    "a feature alone": (
        f"disturbances=[{{kind: swapped_columns, {WHEN}, features: [soc]}}]",
        "disturbances.0.features must be at least 2 items long",
    ),
    "an hour alone": (
        "tariff.periods=[{hours: [4], retail_eur_per_kwh: 0.3}]",
        "tariff.periods.0.hours must be at least 2 items long",
    ),
    "a group twice": (
        f"disturbances=[{{kind: pv_collapse, {WHEN}, groups: [owners, owners]}}]",
        "group 'owners' stands twice",
    ),
    "a spread without end": ("policies.wild={kind: random, spread: 1e308}", "at most 100"),
    "a month": (
        "tariff.periods=[{hours: [0, 4], retail_eur_per_kwh: 0.3, months: [13]}]",
        "must be a month, 1 to 12 or jan to dec, or nov-mar, got 13",
    ),
    "no month": (
        "tariff.periods=[{hours: [0, 4], retail_eur_per_kwh: 0.3, months: []}]",
        "months must be at least 1 items long, got []",
    ),
    "true for a month": (
        "tariff.periods=[{hours: [0, 4], retail_eur_per_kwh: 0.3, months: [true]}]",
        "got true",
    ),
    "true for a share": ("groups.owners.share=true", "must be a number, got true"),
    "true for factors": (
        f"disturbances=[{{kind: pv_collapse, {WHEN}, pv_factor: true}}]", "must be a number"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_once_and_in_plain_words(name: str) -> None:
    override, said = WRONG[name]
    with pytest.raises(InputError) as caught:
        load_scenario(ROOT / "scenarios" / "ten_lines.yaml", [override])
    assert said in str(caught.value) and "missing key" not in str(caught.value)
    if name != "true for factors":  # there both ends of the range are
        assert len(caught.value.problems) == 1


def test_true_is_no_number_in_the_settings_of_a_training(tmp_path: Path) -> None:
    pytest.importorskip("stable_baselines3")
    from cosim.training.settings import settings_of

    file = tmp_path / "settings.yaml"
    file.write_text("ppo: {learning_rate: true}\nlayers: [true]\nreward: {co2: true}\n")
    with pytest.raises(InputError) as caught:
        settings_of("lanes", file)
    assert len(caught.value.problems) == 3 and "got true" in str(caught.value)


def test_a_shipped_scenario_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_scenario("ten_lines").scenario.name == "ten_lines"
    with pytest.raises(InputError, match=r"did you mean 'ten_lines\.yaml'"):
        load_scenario("ten_line")
    shutil.copy(ROOT / "scenarios" / "ten_lines.yaml", "ten_lines")  # what is there comes first
    assert load_scenario("ten_lines").folder == tmp_path


def test_a_variant_is_named_by_its_manifest(village: Any) -> None:
    from cosim.case import load_case
    from cosim.record.day import Scope
    from cosim.record.manifest import opening

    loaded = load_scenario(village.write(variants={"free": {"market": "none"}}))
    assert loaded.variant("free").variant_name == "free" and loaded.variant_name == ""
    assert loaded.variant("free").undisturbed().variant_name == "free"
    cases = [load_case(each) for each in (loaded, loaded.variant("free"))]
    named = [opening(Scope(case), (), "")["variant"] for case in cases]
    assert named == [None, "free"]


# ---------------------------------------------------------------- bundles


@pytest.mark.parametrize(
    ("bundle", "said"),
    [
        ("a_file", "no bundle 'a_file': it is a file, and no .zip archive"),
        ("empty", "no bundle 'empty': there is no card.json in that folder"),
        ("nothing", "no bundle 'nothing': there is no such folder or archive"),
        ("bad", "bad/card.json: schema_version: Input should be a valid integer"),
    ],
)
def test_where_a_scenario_names_a_bundle_comes_first(
    bundle: str, said: str, village: Any, capsys: Captured
) -> None:
    (village.folder / "a_file").write_text("hello")
    (village.folder / "empty").mkdir(exist_ok=True)
    if not (village.folder / "bad").exists():
        shutil.copytree(BUNDLE, village.folder / "bad")
    card = json.loads((BUNDLE / CARD).read_text()) | {"schema_version": True}
    (village.folder / "bad" / CARD).write_text(json.dumps(card))
    path = village.write(policies={"rule": {"kind": "onnx", "bundle": bundle}},
                         groups={"all": {"members": "all", "policy": "rule"}})  # fmt: skip
    assert main(["check", str(path)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"{path}:") and said in told.splitlines()[0]


def test_an_unknown_policy_may_also_be_a_bundle_that_is_not_there(
    village: Any, capsys: Captured
) -> None:
    assert main(["evaluate", str(village.write()), "--seat", "rule", "--policy", "tr/nope"]) == 2
    told = capsys.readouterr().err
    assert "unknown policy 'tr/nope', and no bundle lies there (no card.json in it)" in told
    assert main(["evaluate", str(village.write()), "--seat", "rule", "--policy", "shared_pp"]) == 2
    assert "did you mean 'shared_ppo'?" in capsys.readouterr().err


def test_a_training_with_another_scenario_says_what_differs() -> None:
    pytest.importorskip("torch")
    from cosim.training.checkpoint import _differs

    old = {"tariff": {"retail_eur_per_kwh": 0.2, "periods": []}, "seed": 1, "gone": True}
    new = {"tariff": {"retail_eur_per_kwh": 0.3, "periods": []}, "seed": 1, "come": [1, 2]}
    said = _differs("overrides", repr(old), repr(new))
    assert said.split("; ") == [
        "tariff.retail_eur_per_kwh was 0.2, asked for is 0.3",
        "gone was True, asked for is nothing",
        "come was nothing, asked for is [1, 2]",
    ]
    many = {str(key): key for key in range(9)}
    assert _differs("overrides", repr(many), "{}").endswith("; and 5 more")
    assert _differs("overrides", "no tree", "{}") == "they differ"
    assert _differs("seed", "1", "2") == "it was 1, asked for is 2"


# ---------------------------------------------------------------- Ctrl-C


def raised_from(*kinds: type[BaseException]) -> BaseException:
    """Return an error of the last kind that came of one of each kind before."""
    error: BaseException = kinds[0]("a word")
    for kind in kinds[1:]:
        try:
            raise error
        except BaseException:
            try:
                raise kind("a word")
            except BaseException as later:
                error = later
    return error


@pytest.mark.parametrize(
    ("kinds", "code"),
    [
        ((KeyboardInterrupt,), 130),
        ((KeyboardInterrupt, ImportError), 130),  # numpy's words for whatever stops its import
        ((KeyboardInterrupt, SystemError, ImportError, PluginError), 130),
        ((ValueError, ImportError), 3),
        ((KeyboardInterrupt, OutputError), 74),  # what was to be kept could not be
        ((ValueError, InputError), 2),
    ],
)
def test_one_interruption_is_an_interruption_whatever_a_library_makes_of_it(
    kinds: tuple[type[BaseException], ...], code: int
) -> None:
    message, got = _explained(raised_from(*kinds))
    assert got == code
    assert (message == "interrupted") == (code == 130)
    assert issubclass(OutputError, CosimError)


# ---------------------------------------------------------------- the picture


@pytest.fixture
def drawn(village: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the figure of an evaluation in which one policy lies far out."""
    from matplotlib.figure import Figure

    from cosim.report import evaluation as picture
    from cosim.studies.matrix import FORESIGHT, Job, Matrix
    from cosim.studies.outcome import MEASURES
    from cosim.studies.verdict import findings
    from cosim.verbs._entrants import baselines

    case = village.case()
    entrants = tuple(baselines(case, "do_nothing", ()))
    job = Job(case, case.seats[0].name, entrants, (0,), 1, (1,))
    figures = np.zeros((2, 1, 1, len(MEASURES)))
    figures[:, 0, 0, list(MEASURES).index("community_eur")] = [10.0, 25.0]
    foresight = np.zeros((1, 1, len(FORESIGHT)))
    foresight[..., FORESIGHT.index("together_eur")] = 2.0
    foresight[..., FORESIGHT.index("alone_eur")] = 5.0
    matrix = Matrix(job, figures, np.zeros((2, len(case.population))), foresight)
    kept: list[Any] = []
    save = Figure.savefig

    def saved(figure: Any, *args: Any, **more: Any) -> None:
        save(figure, *args, **more)
        kept.append(figure)

    monkeypatch.setattr(Figure, "savefig", saved)
    found = findings(matrix, "community_eur", "self_consumption")
    picture.draw_evaluation(tmp_path / "evaluation.png", found, matrix)
    return kept[0]


def test_the_legend_of_an_evaluation_covers_nothing(drawn: Any) -> None:
    (legend,) = drawn.legends
    box = legend.get_window_extent()
    assert not any(box.overlaps(axes.get_window_extent()) for axes in drawn.axes)
    assert "1 period of 1 d x 1 seed," in drawn.get_suptitle()


def test_a_share_beyond_the_axis_has_an_arrow_at_its_edge(drawn: Any) -> None:
    axes = drawn.axes[2]
    (arrow,) = [line for line in axes.lines if line.get_marker() == "<"]
    assert arrow.get_xdata()[0] == -1.0
    (text,) = [each for each in axes.texts if each.get_text().startswith("-")]
    assert text.get_window_extent().x0 > arrow.get_window_extent().x1
    assert text.get_position()[1] == arrow.get_ydata()[0]
