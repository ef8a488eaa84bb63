"""Operations on the elements of vectors, between the products of layers."""

import numpy as np

from edgelstm.reference.fixed_point import mulr, saturate32
from edgelstm.reference.places import at16


def copy(of, program, state, scratch):
    """Copy int16.

    of  source place, count, place of the result
    """
    source, count, to = of[:3]
    at16(to, state, scratch)[:count] = at16(source, state, scratch)[:count]


def element_product(of, program, state, scratch):
    """Write `bias + mulr(sat32(x << shift), multiplier)` for every element, or add it.

    of  source place, count, parameters word (multipliers, shifts, bias, `count` words each), result word, accumulate
    """
    source, count, parameters, result, accumulate = of[:5]
    x = at16(source, state, scratch)[:count].astype(np.int64)
    part = _scaled(x, program[parameters:], count)
    scratch[result : result + count] = part + scratch[result : result + count] if accumulate else part


def multiply(of, program, state, scratch):
    """Write `bias + mulr(sat32((x * y) << shift), multiplier)` for every element of two vectors.

    of  two source places, count, parameters word (multipliers, shifts, bias, `count` words each), result word
    """
    first, second, count, parameters, result = of[:5]
    x, y = (at16(place, state, scratch)[:count].astype(np.int64) for place in (first, second))
    scratch[result : result + count] = _scaled(x * y, program[parameters:], count)


def _scaled(values, parameters, count):
    multipliers, shifts, bias = parameters[: 3 * count].astype(np.int64).reshape(3, count)
    return bias + mulr(saturate32(values << shifts), multipliers)


def limit_words(of, program, state, scratch):
    """Limit 32-bit values to a magnitude, in place.

    of  count, word, magnitude
    """
    count, word, end = of[:3]
    scratch[word : word + count] = np.clip(scratch[word : word + count], -end, end)
