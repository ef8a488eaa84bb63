"""Operations on the elements of vectors, between the products of layers."""


def at16(place, state, scratch):
    """Return the int16 from `place` on: twice the half, plus one where it stands in state."""
    return (state if place & 1 else scratch).view("int16")[place >> 1 :]


def copy(of, program, state, scratch):
    """Copy int16.

    of  source place, count, place of the result
    """
    source, count, to = of[:3]
    at16(to, state, scratch)[:count] = at16(source, state, scratch)[:count]
