OPERATION void copy_halves(const int16_t *from, int count, int16_t *to)
{
    for (int at = 0; at < count; at++) {
        to[at] = from[at];
        KEEP_LOOP();
    }
}

OPERATION void copy_words(const int32_t *from, int count, int32_t *to)
{
    for (int at = 0; at < count; at++) {
        to[at] = from[at];
        KEEP_LOOP();
    }
}

/* bias + mulr(value << shift, multiplier), saturating; parameters are `count` multipliers, shifts, biases. */
INLINE int32_t scaled(int32_t value, const int32_t *parameters, int count, int at)
{
    int32_t shifted = shift_left_saturating(value, (int)parameters[count + at]);
    return mulh_add(shifted, 2 * parameters[at], parameters[2 * count + at]);
}

OPERATION void element_product(const int16_t *x, int count, const int32_t *parameters, int32_t *result, int accumulate)
{
    for (int at = 0; at < count; at++)
        result[at] = scaled(x[at], parameters, count, at) + (accumulate ? result[at] : 0);
}

OPERATION void multiply(const int16_t *x, const int16_t *y, int count, const int32_t *parameters, int32_t *result)
{
    for (int at = 0; at < count; at++)
        result[at] = scaled((int32_t)x[at] * y[at], parameters, count, at);
}

