"""How far a value is outside all that has been seen of its channel, in widths of that range."""

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.detection.layout import FIRST_SIGNAL, HIGHEST_SEEN, LEVEL_FLOOR, LOWEST_SEEN, NOVELTY


@njit(inlined=True)
def observe(channel, state, x):
    """Bring the novelty up to a value; 0 within the range."""
    low, high = state[LOWEST_SEEN], state[HIGHEST_SEEN]
    outside = max(max(x - high, low - x), 0.0)
    if outside > 0.0:
        outside = outside / max(high - low, channel[LEVEL_FLOOR])
    state[FIRST_SIGNAL + NOVELTY] = outside


@njit(inlined=True)
def learn(state, x):
    """Widen the range to a value that is taken for normal."""
    state[LOWEST_SEEN] = min(state[LOWEST_SEEN], x)
    state[HIGHEST_SEEN] = max(state[HIGHEST_SEEN], x)
