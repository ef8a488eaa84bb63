/* Gated recurrent unit: z_x and z_h are Q15.16, gates r, u, n; state Q8.23, within 1; hidden Q0.15. */
static void gru_cell(int units, const int32_t *z_x, const int32_t *z_h, int32_t *state, int16_t *hidden,
                     int reset_after)
{
#if defined(__ARM_FEATURE_MVE)
    for (int at = 0; at < units; at += 4) {
        LANES(units - at);
        int32x4_t n = LOAD_LANES(z_h + 2 * units + at);
        if (reset_after) {
            int32x4_t r = sigmoid_4(vaddq_s32(LOAD_LANES(z_x + at), LOAD_LANES(z_h + at)));
            n = vqrdmulhq_s32(r, n);
        }
        n = vrshrq_n_s32(hyperbolic_tangent_4(vaddq_s32(LOAD_LANES(z_x + 2 * units + at), n)), 7);
        int32x4_t u = sigmoid_4(vaddq_s32(LOAD_LANES(z_x + units + at), LOAD_LANES(z_h + units + at)));
        int32x4_t blended = vaddq_s32(n, vqrdmulhq_s32(u, vsubq_s32(LOAD_LANES(state + at), n)));
        STORE_LANES(state + at, blended);
        STORE_HALF_LANES(hidden + at, vminq_s32(vrshrq_n_s32(blended, 8), vdupq_n_s32(32767)));
    }
#else
    for (int unit = 0; unit < units; unit++) {
        int32_t u = sigmoid(z_x[units + unit] + z_h[units + unit]);
        int32_t n_h = z_h[2 * units + unit];
        if (reset_after)
            n_h = mulr(sigmoid(z_x[unit] + z_h[unit]), n_h);
        int32_t n = rshift(hyperbolic_tangent(z_x[2 * units + unit] + n_h), 7);
        state[unit] = n + mulr(u, state[unit] - n);
        hidden[unit] = saturate16(rshift(state[unit], 8));
    }
#endif
}

