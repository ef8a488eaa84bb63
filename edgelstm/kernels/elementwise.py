"""Operations on the elements of vectors, between the products of layers; twins in `reference/elementwise.py`."""

import numpy as np

from edgelstm.kernels.places import at16
from edgelstm.kernels.scalar import mulr, saturate32
from edgelstm.kernels.seldom import seldom


@seldom
def copy(of, program, state, scratch):
    """Copy int16.

    of  source place, count, place of the result
    """
    source, to = at16(of[0], state, scratch), at16(of[2], state, scratch)
    for n in range(of[1]):
        to[n] = source[n]


@seldom
def element_product(of, program, state, scratch):
    """Write `bias + mulr(sat32(x << shift), multiplier)` for every element, or add it.

    of  source place, count, parameters word (multipliers, shifts, bias, `count` words each), result word, accumulate
    """
    source, count, accumulate = at16(of[0], state, scratch), of[1], of[4]
    parameters, result = program[of[2] :], scratch[of[3] :]
    for n in range(count):
        x = saturate32(np.int64(source[n]) << parameters[count + n])
        part = parameters[2 * count + n] + mulr(x, parameters[n])
        result[n] = part + result[n] if accumulate else part


@seldom
def multiply(of, program, state, scratch):
    """Write `bias + mulr(sat32((x * y) << shift), multiplier)` for every element of two vectors.

    of  two source places, count, parameters word (multipliers, shifts, bias, `count` words each), result word
    """
    first, second, count = at16(of[0], state, scratch), at16(of[1], state, scratch), of[2]
    parameters, result = program[of[3] :], scratch[of[4] :]
    for n in range(count):
        x = saturate32((np.int64(first[n]) * second[n]) << parameters[count + n])
        result[n] = parameters[2 * count + n] + mulr(x, parameters[n])


@seldom
def limit_words(of, program, state, scratch):
    """Limit 32-bit values to a magnitude, in place.

    of  count, word, magnitude
    """
    values, end = scratch[of[1] :], of[2]
    for n in range(of[0]):
        values[n] = min(max(values[n], -end), end)
