"""How long a sensor has repeated one value, against the longest time that it did so in its history."""

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.detection.layout import FIRST_SIGNAL, LONGEST_REPEAT, REPEAT, REPEATS


@njit(inlined=True)
def observe(channel, state, own, same):
    """Bring the count up to a value that is, or is not, the `same` as the last one; return whether it stuck now.

    It is stuck from twice its longest time on.
    """
    if not same:
        own[REPEATS], state[FIRST_SIGNAL + REPEAT] = 0, 0.0
        return False
    own[REPEATS] = own[REPEATS] + 1
    longest = channel[LONGEST_REPEAT]
    state[FIRST_SIGNAL + REPEAT] = own[REPEATS] / longest
    return own[REPEATS] - 1 < 2.0 * longest <= own[REPEATS]
