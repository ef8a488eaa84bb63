/* r * hidden, Q0.15, for cells that reset before the product of the new gate. */
static void gru_reset(int units, const int32_t *z_x, const int32_t *z_h, const int16_t *hidden, int16_t *result)
{
#if defined(__ARM_FEATURE_MVE)
    for (int at = 0; at < units; at += 4) {
        LANES(units - at);
        int32x4_t r = sigmoid_4(vaddq_s32(LOAD_LANES(z_x + at), LOAD_LANES(z_h + at)));
        STORE_HALF_LANES(result + at, vqrdmulhq_s32(r, LOAD_HALF_LANES(hidden + at)));
    }
#else
    for (int unit = 0; unit < units; unit++)
        result[unit] = saturate16(mulr(sigmoid(z_x[unit] + z_h[unit]), hidden[unit]));
#endif
}

