"""Where the int16 vectors of seldom operations stand."""


def at16(place, state, scratch):
    """Return the int16 from `place` on: twice the half, plus one where it stands in state."""
    return (state if place & 1 else scratch).view("int16")[place >> 1 :]
