/* Long short-term memory in two halves: z is Q15.16, first gates i, f, g one after another, then o; cell Q7.23, hidden Q0.15. */
static void lstm_cells(int units, const int32_t *z, int32_t *cell)
{
#if defined(__ARM_FEATURE_MVE)
    for (int at = 0; at < units; at += 4) {
        LANES(units - at);
        int32x4_t i = sigmoid_4(LOAD_LANES(z + at));
        int32x4_t f = sigmoid_4(LOAD_LANES(z + units + at));
        int32x4_t g = vrshrq_n_s32(hyperbolic_tangent_4(LOAD_LANES(z + 2 * units + at)), 7);
        int32x4_t c = vaddq_s32(vqrdmulhq_s32(f, LOAD_LANES(cell + at)), vqrdmulhq_s32(i, g));
        STORE_LANES(cell + at, vmaxq_s32(vminq_s32(c, vdupq_n_s32(0x3fffffff)), vdupq_n_s32(-0x40000000)));
    }
#else
    for (int unit = 0; unit < units; unit++) {
        int32_t i = sigmoid(z[unit]);
        int32_t f = sigmoid(z[units + unit]);
        int32_t g = hyperbolic_tangent(z[2 * units + unit]);
        cell[unit] = saturate31(mulh_add(f, 2 * cell[unit], mulr(i, rshift(g, 7))));
    }
#endif
}

static void lstm_hidden(int units, const int32_t *z, const int32_t *cell, int16_t *hidden)
{
#if defined(__ARM_FEATURE_MVE)
    for (int at = 0; at < units; at += 4) {
        LANES(units - at);
        int32x4_t h = vqrdmulhq_s32(sigmoid_4(LOAD_LANES(z + at)), tanh_of_cell_4(LOAD_LANES(cell + at)));
        STORE_HALF_LANES(hidden + at, vminq_s32(vrshrq_n_s32(h, 15), vdupq_n_s32(32767)));
    }
#else
    for (int unit = 0; unit < units; unit++)
        hidden[unit] = narrow_15(mulr(sigmoid(z[unit]), tanh_of_cell(cell[unit])));
#endif
}

