/* ---- What one gate of a long short-term memory reads, normalised over its units, in place --------------------
 * `peephole`, or 0, times the cell is added first. Differences from the mean have 23 bits; epsilon is high << 31 | low.
 */
OPERATION void lstm_norm(int units, int32_t *z, const int32_t *cell, const int32_t *peephole, const int32_t *parameters,
                         int32_t low, int32_t high)
{
    int64_t total = 0, largest = 0;
    for (int n = 0; n < units; n++) {
        if (peephole)
            z[n] += mulr(cell[n], peephole[n]);
        total += z[n];
    }
    const int64_t mean = divide_floor(2 * total + units, 2 * units);
    for (int n = 0; n < units; n++) {
        int64_t d = z[n] - mean;
        if (d < 0)
            d = -d;
        if (d > largest)
            largest = d;
    }
    int coarser = 0, doublings = 0;
    while (largest >> (23 + coarser))
        coarser++;
    int64_t square = ((int64_t)high * 0x80000000 + low) >> (2 * coarser);
    for (int n = 0; n < units; n++) {
        int64_t d = z[n] - mean;
        z[n] = (int32_t)(coarser ? (d + ((int64_t)1 << (coarser - 1))) >> coarser : d);
        square += (int64_t)z[n] * z[n];
    }
    for (; square != 0 && square >> 60 == 0; square *= 4)
        doublings++;
    int32_t size = square_root(square);
    if (size == 0)
        size = 1;
    for (int n = 0; n < units; n++) {
        int64_t value = divide_floor(z[n] * ((int64_t)1 << (24 + doublings)) + (size >> 1), size);
        z[n] = scaled((int32_t)value, parameters, units, n);
    }
}

