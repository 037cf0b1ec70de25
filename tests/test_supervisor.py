"""The supervisor: rare false alarms, faults seen, and stand-ins that decide when it speaks up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from scipy.stats import beta

from cosim import plugins, supervisor
from cosim.case import Case
from cosim.errors import InputError
from cosim.observe import FEATURES
from cosim.optimum.world import charged_world
from cosim.oversight import Supervised, stand_in
from cosim.policy import Policy
from cosim.reason import Reason
from cosim.safety.calibrate import calibration
from cosim.safety.collect import collect, runs_of
from cosim.safety.fit import Observed, _shrunk, calibrated, day_scores, fitted, persistent
from cosim.safety.report import detections, false_alarms, share_of
from cosim.safety.shifts import ladder
from cosim.safety.value import falsifier, outcome
from cosim.safety.worth import NOTE, tried, value_table, worth
from cosim.studies.recorded import recorded
from cosim.studies.unmoved import guard_in_the_open
from cosim.supervision import Supervision, from_card, read_supervision, supervision
from cosim.supervisor import LADDER, Statistics, fresh, judge, rungs

FEATURE = ("soc", "forecast_net_kw", "forecast_pv_kw", "retail_eur_per_kwh", "hour_sin", "hour_cos")
STEPS, ROWS = 24, 3


def world(days: int, seed: int) -> Observed:
    """Return days of a made-up world: sun, load, a tariff with a peak, and the clock."""
    draw = np.random.default_rng(seed)
    hours = np.tile(np.arange(STEPS) * 24.0 / STEPS, (days, 1))
    shape = (days, STEPS, ROWS)
    sun = np.maximum(np.sin((hours - 6.0) * np.pi / 12.0), 0.0)[..., None]
    pv = sun * draw.uniform(0.2, 3.0, (days, 1, 1)) * draw.uniform(0.9, 1.1, shape)
    load = draw.gamma(4.0, 0.1, shape)
    retail = np.where((hours >= 17.0) & (hours < 21.0), 0.5, 0.2)[..., None] + np.zeros(shape)
    angle = hours[..., None] * np.pi / 12.0 + np.zeros(shape)
    columns = (draw.random(shape), load - pv, pv, retail, np.sin(angle), np.cos(angle))
    return Observed(FEATURE, np.stack(columns, -1), hours, np.arange(days))


@pytest.fixture(scope="module")
def statistics() -> Statistics:
    """Return statistics fitted and calibrated on made-up days."""
    return calibrated(fitted(world(120, 1), 24), world(99, 2), 0.05)


def test_new_days_raise_an_alarm_as_often_as_was_asked_for(statistics: Statistics) -> None:
    alarms = false_alarms(statistics, world(2000, 3))
    # over calibrations of 99 days the true rate is Beta(5, 95): 0.1 % and 99.9 % quantiles
    low, high = beta.ppf((0.001, 0.999), 5, 95)
    assert low <= alarms.hit / alarms.of <= high


def test_the_rate_holds_on_average_over_calibrations() -> None:
    """Split conformal prediction promises exactly 5 of 100 with 99 days, over their draws."""
    fit = fitted(world(60, 4), 24)
    rates = []
    for seed in range(40):
        found = calibrated(fit, world(99, 100 + seed), 0.05)
        alarms = false_alarms(found, world(100, 900 + seed))
        rates.append(alarms.hit / alarms.of)
    error = 3.0 * np.std(rates, ddof=1) / np.sqrt(len(rates))
    assert np.mean(rates) == pytest.approx(0.05, abs=error)
    assert error < 0.03


def test_faults_are_seen_and_what_changes_nothing_is_left_out(statistics: Statistics) -> None:
    found = {d.shift: d for d in detections(statistics, world(60, 5))}
    for name in (
        "clock 1 h late",
        "clock 6 h late",
        "pv stuck from noon",
        "prices x 1.5",
        "swapped hour_sin, hour_cos",
    ):
        assert found[name].days.hit >= 0.95 * found[name].days.of
        assert found[name].days.of == 60
    dark = world(60, 6)
    dark.observations.setflags(write=True)
    dark.observations[..., 2] = 0.0
    dead = {"pv 0": ladder(FEATURE)["pv 0 from noon"]}
    assert detections(statistics, dark, dead)[0].days.of == 0


@pytest.mark.parametrize("shift", [0, 1])
def test_judging_step_by_step_gives_the_days_statistic(statistics: Statistics, shift: int) -> None:
    """Also where 24 h of a run begin an hour after civil midnight, at which judging starts anew."""
    plain = world(20, 7)
    seen = replace(plain, hours=(plain.hours + shift) % 24.0)
    for threshold in (20.0, 40.0, statistics.threshold):
        now = replace(statistics, threshold=threshold)
        expected = (persistent(now, seen) > threshold).any((1, 2))
        for day in range(20):
            memory, begun = fresh(now, ROWS), False
            for step in range(STEPS):
                civil = int(step + shift >= STEPS)
                verdict, memory = judge(
                    now, seen.observations[day, step], float(seen.hours[day, step]), civil, memory
                )
                begun |= bool(verdict.begun.any())
            assert begun == expected[day]
    assert (day_scores(statistics, seen) == persistent(statistics, seen).max((1, 2))).all()


@given(
    st.integers(0, 23), st.integers(0, len(FEATURE) - 1), st.sampled_from((np.nan, np.inf, -np.inf))
)
@settings(max_examples=25)
def test_what_is_no_number_is_rejected_at_once(
    statistics: Statistics, hour: int, column: int, value: float
) -> None:
    seen = world(1, 8).observations[0, hour].copy()
    seen[1, column] = value
    verdict, _ = judge(statistics, seen, float(hour), 0, fresh(statistics, ROWS))
    assert verdict.rejected.tolist() == [False, True, False]
    assert rungs(verdict, "self_consumption", 3).tolist() == [-1, 0, -1]
    safe = supervisor.usual(statistics, seen, float(hour))
    assert np.isfinite(safe).all()
    assert (safe[[0, 2]] == seen[[0, 2]]).all()


def test_what_a_feature_cannot_be_is_rejected(statistics: Statistics) -> None:
    seen = world(1, 8).observations[0, 3].copy()
    assert FEATURES["soc"].high == 1.0
    seen[0, 0], seen[1, 0] = 1.0 + 1e-12, 1.5  # rounding is no fault
    verdict, memory = judge(statistics, seen, 3.0, 0, fresh(statistics, ROWS))
    assert verdict.rejected.tolist() == [False, True, False]
    assert supervisor.most_off(statistics, seen[1], memory.run[1], 3.0) == "soc"


def scored(statistics: Statistics, series: list[float], days: list[int]) -> list[tuple[bool, int]]:
    """Return alarm and number of alarms after each of a row's scores, forced by one feature."""
    unit = Statistics(
        ("forecast_net_kw",),
        np.zeros((1, 1)),
        np.ones((1, 1, 1)),
        np.full((1, 1), 99.0),
        0.0,
        1.0,
        statistics.k,
        statistics.m,
        0.25,
    )
    memory, found = fresh(unit, 1), []
    for value, day in zip(series, days, strict=True):
        verdict, memory = judge(unit, np.array([[value]]), 0.0, day, memory)
        found.append((bool(verdict.alarm[0]), int(verdict.alarms[0])))
    return found


def test_persistence_hysteresis_and_a_new_day(statistics: Statistics) -> None:
    """k = 3 of m = 4; an alarm ends after 4 intervals below a quarter; a day starts anew."""
    series = [2, 2, 0, 2, 0.8, 0.8, 0.8, 0.8, 0.1, 0.1, 0.1, 0.1]
    alarms = [a for a, _ in scored(statistics, series, [0] * 12)]
    assert alarms == [False, False, False, True, True, True, True, True, True, True, True, False]
    split = [a for a, _ in scored(statistics, [2, 2, 2, 2], [0, 0, 1, 1])]
    assert not any(split)  # two of the day before do not count
    carried = scored(statistics, [2, 2, 2, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1, 1])
    assert carried[2:] == [(True, 1), (True, 0), (True, 0), (True, 0), (False, 0)]


@pytest.mark.parametrize("first", LADDER)
def test_each_alarm_of_a_day_goes_one_rung_down_and_many_lock_it(
    statistics: Statistics, first: str
) -> None:
    def rung(alarm: bool, alarms: int, lockout: int = 9) -> int:
        flags = np.array([alarm])
        verdict = supervisor.Verdict(
            np.zeros(1, bool), np.zeros(1), flags, flags, np.array([alarms])
        )
        return int(rungs(verdict, first, lockout)[0])

    begin = LADDER.index(first)
    assert [rung(True, n) for n in (1, 2, 3, 4)] == [min(begin + n, 2) for n in range(4)]
    assert rung(False, 2) == -1
    assert rung(False, 2, lockout=2) == LADDER.index("grid_only")


def test_a_row_judges_the_same_alone_and_among_others(statistics: Statistics) -> None:
    seen = world(1, 9).observations[0, 5]
    whole, _ = judge(statistics, seen, 5.0, 0, fresh(statistics, ROWS))
    for row in range(ROWS):
        alone, _ = judge(statistics, seen[row : row + 1], 5.0, 0, fresh(statistics, 1))
        assert alone.score.tobytes() == whole.score[row : row + 1].tobytes()


def test_distance_is_that_of_the_covariance(statistics: Statistics) -> None:
    seen = world(1, 10).observations[0, 12]
    delta = seen - statistics.mean[12]
    expected = np.array([d @ statistics.precision[12] @ d for d in delta])
    run = np.ones_like(seen)
    np.testing.assert_allclose(supervisor.scores(statistics, seen, run, 12), expected, rtol=1e-9)


def test_shrinkage_is_that_of_another_implementation() -> None:
    """Ledoit and Wolf's formula, against the covariance written out sample by sample."""
    rows = np.random.default_rng(11).normal(size=(40, 5)) @ np.diag([1, 2, 3, 4, 5.0])
    _, precision = _shrunk(rows, np.ones(5))
    x = rows - rows.mean(0)
    sample = sum(np.outer(r, r) for r in x) / 40
    level = np.trace(sample) / 5
    spread = np.linalg.norm(sample - level * np.eye(5)) ** 2
    error = sum(np.linalg.norm(np.outer(r, r) - sample) ** 2 for r in x) / 40**2
    share = min(error, spread) / spread
    expected = np.linalg.inv(share * level * np.eye(5) + (1 - share) * sample)
    np.testing.assert_allclose(precision, expected, rtol=1e-9)


@pytest.mark.parametrize(("hit", "of"), [(0, 10), (10, 10), (4, 91), (50, 91), (1, 1)])
def test_bounds_are_clopper_and_pearsons(hit: int, of: int) -> None:
    share = share_of(hit, of)
    low = 0.0 if hit == 0 else beta.ppf(0.025, hit, of - hit + 1)
    high = 1.0 if hit == of else beta.ppf(0.975, hit + 1, of - hit)
    assert (share.low, share.high) == pytest.approx((low, high), abs=1e-9)


def test_too_few_days_are_refused() -> None:
    with pytest.raises(InputError, match="too few"):
        calibrated(fitted(world(60, 1), 24), world(18, 2), 0.05)
    with pytest.raises(InputError, match="too few"):
        fitted(world(3, 1), 24)


def test_what_is_written_is_what_is_read(tmp_path: Path, statistics: Statistics) -> None:
    seen = world(80, 12)
    found = calibration(seen, np.array([0, 1, 0, 2])[seen.days % 4], 3600).supervision
    path = tmp_path / "seen.json"
    path.write_text(found.model_dump_json())
    again, _ = read_supervision(path)
    for name, value in vars(found.statistics()).items():
        assert np.array_equal(value, getattr(again.statistics(), name))
    content = json.loads(path.read_text())
    for change in (
        {"mean": [[0.0]]},
        {"features": ["sock"] * 6},
        {"persistence_k": 5},
        {"threshold_day": "NaN"},
        {"precision": np.zeros((24, 6, 6)).tolist()},
    ):
        path.write_text(json.dumps(content | change))
        with pytest.raises(InputError):
            read_supervision(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_supervision(tmp_path / "none.json")


def test_a_cards_section_does_without_standstills(statistics: Statistics) -> None:
    class Section(BaseModel):
        content: dict[str, Any]

        def model_dump(self, **how: Any) -> dict[str, Any]:
            return self.content

    whole = supervision(statistics, 3600, 0.05, 99, ROWS).model_dump()
    extra = {"longest_run", "run_score", "prosumers", "interval_s"}
    section = Section(content={k: v for k, v in whole.items() if k not in extra})
    given = from_card(section, 900)
    assert given.interval_s == 900
    seen = world(1, 14).observations[0, 12]
    verdict, _ = judge(given.statistics(), seen, 12.0, 0, fresh(statistics, ROWS))
    expected, _ = judge(statistics, seen, 12.0, 0, fresh(statistics, ROWS))
    np.testing.assert_array_equal(verdict.score, expected.score)


def test_days_are_run_in_weeks() -> None:
    assert runs_of([3, 4, 5, 9, *range(20, 30)]) == [(3, 3), (9, 1), (20, 7), (27, 3)]


def test_sensors_show_what_a_shift_of_the_whole_day_would() -> None:
    """As time goes on; a late clock shows the present until it has a past."""
    seen = world(1, 13).observations
    shifts = ladder(FEATURE)
    for name in (
        "pv stuck from noon",
        "prices x 2",
        "swapped hour_sin, hour_cos",
        "clock 3 h late",
    ):
        sense = falsifier(shifts[name], FEATURE, STEPS)
        whole = shifts[name](seen, FEATURE)[0]
        for step in range(STEPS):
            shown = sense(seen[0, step], np.arange(ROWS), step)
            late = name.startswith("clock") and step < 3
            np.testing.assert_array_equal(shown, seen[0, step] if late else whole[step])


# ------------------------------------------------------------------ in a run


def supervised(village: Any, tmp_path: Path, **how: Any) -> Case:
    """Return a case in which the rule is supervised, calibrated on the village itself."""
    path = tmp_path / "seen.json"
    common = {
        "policies": {"rule": "self_consumption", "passive": "passive"},
        "groups": {
            "owners": {"members": "battery", "policy": "rule"},
            "rest": {"members": "all", "policy": "passive"},
        },
        "disturbances": [],
    }
    plain = village.case(time={"start": "2016-07-18", "days": 1, "interval_minutes": 15}, **common)
    if not path.exists():
        seen = collect(plain, "rule", [0])
        flat = seen.observations.reshape(-1, len(seen.features))
        spread = np.maximum(flat.std(0), 0.1)
        path.write_text(
            Supervision(
                blocks_per_day=1,
                interval_s=900,
                features=seen.features,
                mean=[flat.mean(0).tolist()],
                precision=[np.diag(spread**-2.0).tolist()],
                longest_run=[[99.0] * len(spread)],
                run_score=0.0,
                threshold_day=1e6,
                alarm_rate=0.05,
                calibration_days=20,
                prosumers=seen.observations.shape[2],
                persistence_k=1,
                persistence_m=2,
                hysteresis=0.5,
            ).model_dump_json()
        )
    return village.case(
        time={"start": "2016-07-18", "days": 1, "interval_minutes": 15},
        supervisors={"rule": {"statistics": str(path), **how}},
        **common,
    )


def with_sensors(case: Case, sensors: Any) -> Case:
    seats = tuple(replace(s, sensors=sensors) if s.name == "rule" else s for s in case.seats)
    return replace(case, seats=seats)


def test_a_supervisor_without_alarm_changes_no_bit(
    village: Any, tmp_path: Path, diary_of: Any
) -> None:
    case = supervised(village, tmp_path)
    seats = tuple(replace(seat, supervisor=None) for seat in case.seats)
    with_, without = diary_of(case), diary_of(replace(case, seats=seats))
    for one, other in zip(with_.intervals, without.intervals, strict=True):
        assert one.bills.bill_eur.tobytes() == other.bills.bill_eur.tobytes()
        assert one.trade.guarded.reason.tobytes() == other.trade.guarded.reason.tobytes()


@pytest.mark.parametrize(
    ("fallback", "lockout"),
    [("self_consumption", 3), ("idle", 3), ("grid_only", 3), ("self_consumption", 1)],
)
def test_stand_ins_decide_where_the_sensors_lie(
    village: Any, tmp_path: Path, diary_of: Any, fallback: str, lockout: int
) -> None:
    """From the 20th to the 30th interval one prosumer's PV is no number."""
    case = supervised(village, tmp_path, fallback=fallback, lockout_alarms=lockout)
    hit = next(seat for seat in case.seats if seat.name == "rule").rows[0]

    def sensors(observations: np.ndarray, rows: np.ndarray, interval: int) -> np.ndarray:
        wrong = (rows == hit) & (20 <= interval < 30)
        return np.where(wrong[:, None], np.nan, observations)

    diary = diary_of(with_sensors(case, sensors))
    flagged = np.array([i.trade.guarded.reason & Reason.FALLBACK != 0 for i in diary.intervals])
    assert not np.delete(flagged, hit, axis=1).any()
    assert flagged[20:30, hit].all()
    assert not flagged[:20, hit].any()
    locked = lockout == 1
    assert flagged[33:, hit].all() == locked
    assert flagged[33:, hit].any() == locked
    assert [kind for _, kind in diary.events].count("supervisor") >= 1
    asked = [i.trade.asked for i in diary.intervals[20:30]]
    power = np.array([a.requested.battery_kw[hit] for a in asked])
    orders = np.array([i.trade.guarded.decision.quantity_kwh[hit] for i in diary.intervals[20:30]])
    truth = diary_of(case)
    ruled = np.array([i.trade.asked.requested.battery_kw[hit] for i in truth.intervals[20:30]])
    if fallback == "self_consumption" and not locked:
        assert np.array_equal(power, ruled)  # the rule itself, on what is true
    else:
        assert not power.any()
    assert orders.any() == (fallback != "grid_only" and not locked)


def test_an_outcome_without_supervisor_is_decided_by_the_policy(
    village: Any, tmp_path: Path
) -> None:
    """A supervisor that is never content decides everything where it is there, else nothing."""
    case = supervised(village, tmp_path, fallback="idle")
    seat = next(seat for seat in case.seats if seat.name == "rule")
    assert seat.supervisor is not None
    how = seat.supervisor
    never = replace(how, statistics=replace(how.statistics, threshold=-1.0))
    seats = tuple(replace(s, supervisor=never) if s.name == "rule" else s for s in case.seats)
    case = replace(case, seats=seats)
    alone, overseen = (outcome(case, "rule", [0], supervised=flag) for flag in (False, True))
    assert (alone.fallback.tolist(), overseen.fallback.tolist()) == ([0.0], [1.0])
    assert alone.cost_eur[0] < overseen.cost_eur[0]  # idle batteries save nothing


def test_an_audit_does_not_hold_stand_ins_against_a_policy(village: Any, tmp_path: Path) -> None:
    """Locked out, a prosumer sends no order at all, which its echo must repeat."""
    case = supervised(village, tmp_path, lockout_alarms=1)
    seat = next(seat for seat in case.seats if seat.name == "rule")
    assert seat.supervisor is not None
    strict = replace(seat.supervisor.statistics, threshold=3.0)
    how = replace(seat.supervisor, statistics=strict)
    seats = tuple(replace(s, supervisor=how) if s.name == "rule" else s for s in case.seats)
    run = recorded(replace(case, seats=seats), "rule")
    stood = sum(int(np.any(i.trade.guarded.reason & Reason.LOCKED_OUT)) for i in run.intervals)
    assert stood > 20
    told = guard_in_the_open([run], "rule")
    assert told.holds
    assert "changed 0 of" in told.meaning  # it was not the guard


def test_what_foresight_knows_of_a_disturbed_day_is_metered_without_supervisors(
    village: Any, tmp_path: Path
) -> None:
    case = supervised(village, tmp_path)
    first = next(seat for seat in case.seats if seat.supervisor is not None)
    fields = {"start": "2016-07-18 06:00", "end": "2016-07-18 09:00", "load_factor": (2.0, 2.0)}
    snap = plugins.load("disturbance", "cold_snap").model_validate(fields)
    scenario = case.scenario.model_copy(update={"disturbances": (snap,)})
    seats = (first, *(seat for seat in case.seats if seat is not first))
    cold = replace(case, loaded=replace(case.loaded, scenario=scenario), seats=seats)
    net = case.profiles.load_kw - case.profiles.pv_kw
    more = charged_world(cold).net_kw - net
    assert more[24:36] == pytest.approx(case.profiles.load_kw[24:36])
    assert not more[:24].round(9).any()


def test_the_worth_of_a_supervisor_is_that_of_its_runs(
    village: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is never content lets its stand-in decide under every fault; it is the truth's."""
    late = ("impossible for the rule", "measurements 6 h late")  # moves what the rule looks at
    monkeypatch.setattr("cosim.safety.worth.TRIED", (late,))
    case = supervised(village, tmp_path)
    written, _ = read_supervision(tmp_path / "seen.json")
    never = written.model_copy(update={"threshold_day": -1.0})
    found = worth(case.loaded, "rule", never, count=1)
    assert [w.fault for w in found] == [name for name, _ in tried(case, "rule")]
    assert [w.fault for w in found] == ["no fault", "measurements 6 h late"]
    assert {w.fallback for w in found} == {1.0}
    assert len({w.cost_eur[1] for w in found}) == 1  # whatever the sensors tell
    for shown, (_, shift) in zip(found, tried(case, "rule"), strict=True):
        alone = outcome(case, "rule", [0], supervised=False, shift=shift)
        assert shown.cost_eur[0] == alone.cost_eur[0]
        assert shown.breach_min[0] == alone.breach_min[0]
    assert len({w.cost_eur[0] for w in found}) > 1  # the faults do something
    table = value_table(found, 1)
    assert all(f"{w.cost_eur[0]:.2f}" in table for w in found) and NOTE in table
    with pytest.raises(InputError, match="2 days of the 1 that are held out"):
        worth(case.loaded, "rule", never, count=2)


def test_supervisors_of_nobody_and_without_statistics_are_refused(
    village: Any, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="unknown policy 'rul'"):
        village.case(supervisors={"rul": {}})
    with pytest.raises(InputError, match="nothing is known"):
        village.case(supervisors={"rule": {}})
    case = supervised(village, tmp_path)
    assert case.seats[0].supervisor is not None or case.seats[1].supervisor is not None
    assert any(name == "seen.json" for name, _ in case.files)


# ------------------------------------------------------------------ standing still, and bad inputs


def test_what_stands_is_counted_but_for_zero() -> None:
    """PV may be 0 for days, a sensor that stands at any other value may not."""
    now, before = np.array([0.0, -0.0, 2.0, 2.0, np.nan]), np.array([0.0, 0.0, 2.0, 1.0, np.nan])
    assert supervisor.stood(now, before, np.full(5, 7.0)).tolist() == [1.0, 1.0, 8.0, 1.0, 1.0]
    unit = Statistics(
        ("forecast_pv_kw",), np.zeros((1, 1)), np.ones((1, 1, 1)), np.full((1, 1), 3.0), 50.0, 40.0,
        1, 1, 0.5,
    )  # fmt: skip
    for value, alarmed in ((0.0, False), (1.0, True)):
        memory = fresh(unit, 1)
        for _ in range(48):
            verdict, memory = judge(unit, np.array([[value]]), 12.0, 0, memory)
        assert verdict.alarm.tolist() == [alarmed]


class Eager(Policy):
    """A rule that charges with 1 kW whatever it sees, as long as that is a number."""

    features = ("forecast_net_kw",)
    actions = ("battery_kw",)

    def act(self, observations: np.ndarray, context: Any, memory: Any) -> tuple[np.ndarray, Any]:
        assert np.isfinite(observations).all()
        return np.ones((len(observations), 1)), memory


def test_a_stand_in_without_inputs_idles(statistics: Statistics) -> None:
    """Where the rule's own inputs are no numbers, whatever it would say of zeros."""
    view: Any = SimpleNamespace(
        energy_kwh=np.zeros(4), forecast_load_kw=np.array([1.0, np.nan, np.inf, 1.0]),
        forecast_pv_kw=np.zeros(4), swaps=(), interval_h=0.25,
    )  # fmt: skip
    how = Supervised(statistics, "self_consumption", 3, Eager())
    power, silent = stand_in(how, view, np.arange(4), np.array([0, 0, 0, 1]), 7)
    assert power.tolist() == [1.0, 0.0, 0.0, 0.0]
    assert not silent.any()


def test_a_policy_sees_what_is_usual_where_it_would_see_no_number(
    village: Any, tmp_path: Path, diary_of: Any
) -> None:
    """Its request is on record, and a number: the fault is the sensor's, not the policy's."""
    case = supervised(village, tmp_path)
    rows = next(seat for seat in case.seats if seat.name == "rule").rows

    def sensors(observations: np.ndarray, rows: np.ndarray, interval: int) -> np.ndarray:
        return observations * (np.nan if interval == 50 else 1.0)

    told = diary_of(with_sensors(case, sensors)).intervals[50].trade
    assert (told.asked.supervised[rows] & Reason.IMPOSSIBLE).all()
    assert np.isfinite(told.asked.by_policies.battery_kw).all()
    assert not (told.faults & Reason.NOT_FINITE).any()
