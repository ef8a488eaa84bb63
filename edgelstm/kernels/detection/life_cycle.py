"""The life of an alert: raised after k of n, updated when it gets worse, cleared with hysteresis or by adoption."""

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.detection.layout import (
    ADOPTED,
    ADOPTED_COUNT,
    ANNOUNCED_NS,
    ANNOUNCED_PEAK,
    ANNOUNCED_SEVERITY,
    CALM,
    CLEAR_AFTER,
    CLEAR_RATIO,
    CLEARED,
    CLEARED_COUNT,
    CLEARED_NS,
    COOLDOWN_NS,
    CRITICAL,
    CRITICAL_RATIO,
    FREEZE_TIMEOUT_NS,
    HAS_CLEARED,
    NO_EVENT,
    NOTHING,
    OPEN,
    OPEN_SAMPLES,
    OPENED_NS,
    PEAK,
    RAISE_AFTER,
    RAISE_MASK,
    RAISED,
    RAISED_COUNT,
    RECENT,
    SEVERITY,
    THRESHOLD,
    THRESHOLD_DECAY,
    THRESHOLD_HIGH,
    THRESHOLD_LOW,
    THRESHOLD_STEP,
    UPDATE_INTERVAL_NS,
    UPDATED,
    UPDATED_COUNT,
    WARNING,
    WHOLE,
)

NEW_PEAK = 1.1
"""A peak speaks again only when it tops the one announced by a tenth."""


@njit(inlined=True)
def advance(constants, policies, floats, ints, score, remaining, time_ns):
    """Take in one score; return the event that it decides. Sets ADOPTED when the alert was open for too long.

    remaining  what is left of the score for an open alert to stay open
    """
    ints[ADOPTED] = NOTHING
    threshold = floats[THRESHOLD]
    above = score > threshold
    ints[RECENT] = ((ints[RECENT] << 1) | int(above)) & policies[RAISE_MASK]
    if ints[OPEN] == 0:
        floats[THRESHOLD] = max(threshold - constants[THRESHOLD_DECAY], constants[THRESHOLD_LOW])
        if not above or _ones(ints[RECENT]) < policies[RAISE_AFTER]:
            return NO_EVENT
        if ints[HAS_CLEARED] != 0 and time_ns - ints[CLEARED_NS] < policies[COOLDOWN_NS]:
            return NO_EVENT
        floats[THRESHOLD] = threshold
        _open(constants, floats, ints, score, time_ns)
        return RAISED
    ints[OPEN_SAMPLES] += 1
    floats[PEAK] = max(floats[PEAK], score)
    if score >= threshold * constants[CRITICAL_RATIO]:
        ints[SEVERITY] = CRITICAL
    ints[CALM] = ints[CALM] + 1 if remaining < threshold * constants[CLEAR_RATIO] else 0
    timed_out = time_ns - ints[OPENED_NS] >= policies[FREEZE_TIMEOUT_NS]
    if ints[CALM] >= policies[CLEAR_AFTER] or timed_out:
        _close(constants, floats, ints, time_ns)
        ints[ADOPTED] = WHOLE if timed_out else NOTHING
        ints[ADOPTED_COUNT] += int(timed_out)
        return CLEARED
    worse = ints[SEVERITY] > ints[ANNOUNCED_SEVERITY] or floats[PEAK] > floats[ANNOUNCED_PEAK] * NEW_PEAK
    if worse and time_ns - ints[ANNOUNCED_NS] >= policies[UPDATE_INTERVAL_NS]:
        ints[UPDATED_COUNT] += 1
        _announce(floats, ints, time_ns)
        return UPDATED
    return NO_EVENT


@njit
def _open(constants, floats, ints, score, time_ns):
    ints[OPEN], ints[OPENED_NS], ints[OPEN_SAMPLES], ints[CALM] = 1, time_ns, 1, 0
    ints[SEVERITY] = CRITICAL if score >= floats[THRESHOLD] * constants[CRITICAL_RATIO] else WARNING
    ints[RAISED_COUNT] += 1
    floats[PEAK] = score
    _announce(floats, ints, time_ns)


@njit
def _close(constants, floats, ints, time_ns):
    ints[OPEN], ints[CALM], ints[RECENT] = 0, 0, 0
    ints[HAS_CLEARED], ints[CLEARED_NS] = 1, time_ns
    ints[CLEARED_COUNT] += 1
    floats[THRESHOLD] = min(floats[THRESHOLD] + constants[THRESHOLD_STEP], constants[THRESHOLD_HIGH])


@njit
def _announce(floats, ints, time_ns):
    ints[ANNOUNCED_NS], ints[ANNOUNCED_SEVERITY] = time_ns, ints[SEVERITY]
    floats[ANNOUNCED_PEAK] = floats[PEAK]


@njit(inlined=True)
def _ones(bits):
    count = 0
    while bits != 0:
        bits &= bits - 1
        count += 1
    return count
