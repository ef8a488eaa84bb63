/* ---- What stands between two steps of a decoder --------------------------------------------------------------- */
OPERATION void begin(const int32_t *z, int count, int32_t *state, int32_t most)
{
    for (int n = 0; n < count; n++)
        state[n] = limit(z[n], -most, most);
}

OPERATION void begin_hidden(const int32_t *z, int count, int16_t *hidden)
{
    narrow(count, z, 8, hidden);
}

/* The number of the largest value, the first of equals, times 4; at the symbol that ends nothing is going on. */
OPERATION void choose(const int32_t *z, int count, int end, int16_t *symbol, int16_t *going)
{
    int best = 0;
    for (int n = 1; n < count; n++)
        if (z[n] > z[best])
            best = n;
    symbol[0] = (int16_t)(4 * best);
    if (best == end)
        going[0] = 0;
}

OPERATION void narrow_state(const int32_t *values, int count, int bits, int16_t *result)
{
    narrow(count, values, bits, result);
}

