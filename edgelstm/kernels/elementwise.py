"""Operations on the elements of vectors, between the products of layers; twins in `reference/elementwise.py`."""

from edgelstm.kernels.places import at16
from edgelstm.kernels.seldom import seldom


@seldom
def copy(of, program, state, scratch):
    """Copy int16.

    of  source place, count, place of the result
    """
    source, to = at16(of[0], state, scratch), at16(of[2], state, scratch)
    for n in range(of[1]):
        to[n] = source[n]
