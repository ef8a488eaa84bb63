/* ---- Softmax ----------------------------------------------------------------------------------------------- */
/* 2^-x at 257 knots of x from 0 to 1, Q0.30, linear between them. */
static const int32_t power_knots[258] = {
@TABLE@
};

/* e^-d in Q0.30, for d in Q15.16 */
OPERATION int32_t power_of_e(uint32_t d)
{
    int32_t limited = d > 0x1fffff ? 0x1fffff : (int32_t)d;
    int32_t t = mulr(1549082005 /* log2(e), Q1.30 */, limited << 9);
    const int32_t *knot = power_knots + ((t >> 16) & 255);
    uint32_t power = (uint32_t)(knot[0] + mulr((t & 0xffff) << 15, knot[1] - knot[0]));
    int halvings = t >> 24;
    if (halvings == 0)
        return (int32_t)power;
    return halvings < 32 ? (int32_t)((power + (1u << (halvings - 1))) >> halvings) : 0;
}

/* z in Q15.16 becomes e^z over the sum of all e^z, Q0.31; each relative to the largest, so that none overflows. */
OPERATION void softmax(int count, int32_t *z)
{
    int32_t largest = INT32_MIN;
    uint64_t total = 0;
    for (int n = 0; n < count; n++)
        largest = z[n] > largest ? z[n] : largest;
    for (int n = 0; n < count; n++) {
        z[n] = power_of_e((uint32_t)largest - (uint32_t)z[n]);
        total += (uint32_t)z[n];
    }
    for (int n = 0; n < count; n++) {
        uint64_t share = (((uint64_t)(uint32_t)z[n] << 31) + (total >> 1)) / total;
        z[n] = share > INT32_MAX ? INT32_MAX : (int32_t)share;
    }
}

