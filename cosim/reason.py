"""Why a request was changed, on its way through the guard or at delivery."""

from __future__ import annotations

from enum import IntFlag


class Reason(IntFlag):
    """Why a request was changed; flags add up."""

    NONE = 0
    NOT_FINITE = 1
    RATING = 2
    ENERGY = 4
    QUANTITY = 8
    PRICE = 16
    OUTAGE = 32  # at delivery: the dead part of the feeder is off
    LATE_CHANGE = 64  # at delivery: the world changed after the decision
    NETWORK = 256  # by the guard: a limit of the feeder would have been broken
    RAMP = 512  # by the guard: too far from the power of the interval before
    INVERTER = 1024  # by the guard: no room beside PV in the inverter that both share
    FALLBACK = 128  # before the guard: the supervisor let a stand-in decide
    IMPOSSIBLE = 2048  # beside FALLBACK: for what the policy saw cannot be
    LOCKED_OUT = 4096  # beside FALLBACK: for the policy is locked out until the day ends


#: what the supervisor did, and not the guard
SUPERVISED = Reason.FALLBACK | Reason.IMPOSSIBLE | Reason.LOCKED_OUT
