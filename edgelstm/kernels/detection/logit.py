"""What the network itself says of a fault: the logit of its probability, moved so that a calm network is at 0."""

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.detection.layout import FIRST_SIGNAL, LOGIT

CALM_LOGIT = -4.0


@njit(inlined=True)
def observe(state, logit):
    """Take in the network's output at this sample."""
    state[FIRST_SIGNAL + LOGIT] = max(logit - CALM_LOGIT, 0.0)
