/* A vector divided by its size, Q7.24, times its parameters. The square of the size is the sum of squares, for `centred`
 * that of the differences from the mean (all times the count); epsilon, high << 31 | low, is added to it, or is the least
 * that it can be.
 */
OPERATION void normalize(const int16_t *x, int count, int centred, int least, int32_t low, int32_t high,
                         const int32_t *parameters, int32_t *result)
{
    const int64_t epsilon = (int64_t)high * 0x80000000 + low;
    int32_t total = 0;
    int64_t square = 0;
    for (int n = 0; n < count; n++) {
        total += x[n];
        square += (int32_t)x[n] * x[n];
    }
    if (centred)
        square = count * square - (int64_t)total * total;
    if (!least)
        square += epsilon;
    else if (square < epsilon)
        square = epsilon;
    int doublings = 0; /* of the size, until its root has 30 or 31 bits */
    for (; square != 0 && square >> 60 == 0; square *= 4)
        doublings++;
    int32_t size = square_root(square);
    if (size == 0)
        size = 1;
    for (int n = 0; n < count; n++) {
        int64_t value = centred ? count * x[n] - total : x[n];
        value = divide_floor(value * ((int64_t)1 << (24 + doublings)) + (size >> 1), size);
        result[n] = scaled((int32_t)value, parameters, count, n);
    }
}

