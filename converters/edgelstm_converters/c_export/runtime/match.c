/* Whether every one of the channels has its value. */
OPERATION int16_t matches(const float *x, int count, const int32_t *channels, const float *values)
{
    for (int n = 0; n < count; n++)
        if (x[channels[n]] != values[n])
            return 0;
    return 1;
}

