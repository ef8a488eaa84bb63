/* Straight lines between knots, at places z in Q9.16; beyond the first and the last knot, their values. */
OPERATION void curve(int count, int32_t *z, const int32_t *knots)
{
    for (int at = 0; at < count; at++) {
        int32_t place = limit(z[at], 0, 0x1ffffff);
        const int32_t *knot = knots + (place >> 16);
        z[at] = knot[0] + mulr((place & 0xffff) << 15, knot[1] - knot[0]);
    }
}

