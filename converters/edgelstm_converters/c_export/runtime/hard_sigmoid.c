/* slope * z + 1/2 limited to 0..1, Q0.31, for z in Q15.16: `reach` is where it ends, `slope` is times 2^33. */
INLINE int32_t hard_sigmoid(int32_t z, int32_t reach, int32_t slope)
{
    int32_t half = mulr(slope, limit(z, -reach, reach) * 4096);
    return half >= 0x20000000 ? INT32_MAX : half <= -0x20000000 ? 0 : 0x40000000 + 2 * half;
}

OPERATION void hard_sigmoids(int units, int32_t *z, int32_t reach, int32_t slope)
{
    for (int unit = 0; unit < units; unit++)
        z[unit] = hard_sigmoid(z[unit], reach, slope);
}

