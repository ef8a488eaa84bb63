/* ---- Values limited to a magnitude, in place --------------------------------------------------------------- */
OPERATION void limit_words(int count, int32_t *values, int32_t end)
{
    for (int at = 0; at < count; at++)
        values[at] = limit(values[at], -end, end);
}

