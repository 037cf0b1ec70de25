"""The ledgers of safety of a day: what policies asked, guard and supervisor did, devices kept."""

from __future__ import annotations

import numpy as np

from cosim.population import Population
from cosim.reason import SUPERVISED, Reason
from cosim.record.day import Columns
from cosim.record.tables import deviated

#: a recorded energy may miss a device limit by this much of rounding [kWh]
ROUNDING_KWH = 1e-9
#: columns of the faults of requests
REQUESTS = {
    "request_not_finite": Reason.NOT_FINITE,
    "request_over_rating": Reason.RATING,
    "request_over_energy": Reason.ENERGY,
    "request_over_position": Reason.QUANTITY,
    "request_over_ramp": Reason.RAMP,
    "request_over_inverter": Reason.INVERTER,
    "request_off_tariff": Reason.PRICE,
}
#: columns of why stand-ins decided
STAND_INS = {
    "fallback_intervals": Reason.FALLBACK,
    "fallback_impossible": Reason.IMPOSSIBLE,
    "fallback_locked_out": Reason.LOCKED_OUT,
}


def safety(p: Columns, o: Columns, population: Population, hours: float) -> Columns:
    """Count faults of requests, changes by the guard, deviations and device breaches ``[T]``."""
    executed, off = deviated(p, hours)
    changed = np.abs(p["setpoint_kw"] - p["decided_kw"])
    reason, fault, overruled = (  # of all rounds
        o[name].reshape(len(executed), -1) for name in ("reason", "faults", "overruled_kw")
    )
    flags = {name: (fault & flag != 0).sum(1) for name, flag in REQUESTS.items()}
    return {
        **{name: count.astype(float) for name, count in flags.items()},
        "request_breaches": np.sum(list(flags.values()), axis=0).astype(float),
        "interventions": (reason & ~SUPERVISED != 0).sum(1).astype(float),
        "network_interventions": (p["moved_kw"] != 0.0).sum(1).astype(float),
        "network_kwh": np.abs(p["moved_kw"]).sum(1) * hours,
        **{name: (reason & flag != 0).sum(1).astype(float) for name, flag in STAND_INS.items()},
        "fallback_kwh": np.abs(overruled).sum(1) * hours,
        "intervention_kwh": np.where(np.isfinite(changed), changed, 0.0).sum(1) * hours,
        "delivery_deviations": off.sum(1).astype(float),
        "delivery_deviation_kwh": (np.abs(executed - p["setpoint_kw"]) * off).sum(1) * hours,
        "device_breaches": device_breaches(p, population, hours).sum(1).astype(float),
    }


def device_breaches(p: Columns, population: Population, hours: float) -> np.ndarray:
    """Return where recorded energies break a battery's limits, bool ``[T, n]``.

    More throughput than the rating allows, stored energy above its bound, discharging below its
    lower bound, or more energy gained than charging explains. Self-discharge may sink below. What
    PV and battery give or take together must fit through an inverter that they share. For ramps
    see :func:`_ramp_breaches`.
    """
    charge, discharge, after = p["charge_kwh"], p["discharge_kwh"], p["energy_kwh"]
    root = np.sqrt(population.efficiency)
    gain = charge * root - discharge / root
    through = np.abs(p["pv_kwh"] - charge + discharge)
    kva = np.inf if population.inverter_kva is None else population.inverter_kva
    return (
        (through > kva * hours + ROUNDING_KWH)
        | (charge + discharge > population.rating_kw * hours + ROUNDING_KWH)
        | (after > population.max_kwh + ROUNDING_KWH)
        | ((after < population.min_kwh - ROUNDING_KWH) & (discharge > ROUNDING_KWH))
        | (after - p["before_kwh"] > gain + ROUNDING_KWH)
        | _ramp_breaches(p, population, through, hours)
    )


def _ramp_breaches(
    p: Columns, population: Population, through: np.ndarray, hours: float
) -> np.ndarray:
    """Return where battery power changed by more than its ramp from interval to interval.

    Looked at where power was steady in both. A battery that has run empty or full, or an inverter
    without room, may stop faster: where that is so at the end, it is no breach.
    """
    if population.ramp_kw is None:
        return np.zeros(through.shape, dtype=bool)
    change_kwh = (p["steady_kw"] - p["before_kw"]) * hours  # NaN: not known, no breach
    kva = np.inf if population.inverter_kva is None else population.inverter_kva
    busy = through >= kva * hours - ROUNDING_KWH
    empty = p["energy_kwh"] <= population.min_kwh + ROUNDING_KWH
    full = p["energy_kwh"] >= population.max_kwh - ROUNDING_KWH
    most = population.ramp_kw * hours + ROUNDING_KWH
    return ~busy & (((change_kwh > most) & ~empty) | ((change_kwh < -most) & ~full))
