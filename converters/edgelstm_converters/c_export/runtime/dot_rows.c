/* ---- Rows of weights times a vector ------------------------------------------------------------------------
 * Weights are packed four rows together: for every eight columns (the last block may have four), the first row's
 * weights, then the second's. In every four columns the inner two are exchanged, so that a sign extension of every
 * other byte (SXTB16) gives neighbours. Columns and rows are padded with zeros. A sum of products fits in int32,
 * which is checked when the model is made.
 */
#if defined(__ARM_FEATURE_MVE)

/* The activations in the order of the weights. */
INLINE void exchange_inner(const int16_t *x, int columns, int16_t *exchanged)
{
    /* lanes 0 2 1 3 4 6 5 7 */
    const uint16x8_t order = vsetq_lane_u16(1, vsetq_lane_u16(2, vsetq_lane_u16(5, vsetq_lane_u16(6, vidupq_n_u16(0, 1), 5), 6), 1), 2);
    for (; columns >= 8; columns -= 8, x += 8, exchanged += 8)
        vstrhq_s16(exchanged, vldrhq_gather_shifted_offset_s16(x, order));
    if (columns > 0) { /* in scalars GCC 12 makes wrong code of it at -O2 */
        const uint32x4_t order_of_4 = vsetq_lane_u32(1, vsetq_lane_u32(2, vidupq_n_u32(0, 1), 1), 2);
        vstrhq_s32(exchanged, vldrhq_gather_shifted_offset_s32(x, order_of_4));
    }
}

INLINE const int8_t *dot_4_rows(const int8_t *w, const int16_t *x, int columns, int32_t sums[4])
{
    int32_t a = 0, b = 0, c = 0, d = 0;
    for (; columns >= 8; columns -= 8, x += 8, w += 32) {
        int16x8_t activations = vldrhq_s16(x);
        a = vmladavaq_s16(a, vldrbq_s16(w), activations);
        b = vmladavaq_s16(b, vldrbq_s16(w + 8), activations);
        c = vmladavaq_s16(c, vldrbq_s16(w + 16), activations);
        d = vmladavaq_s16(d, vldrbq_s16(w + 24), activations);
    }
    if (columns > 0) {
        int32x4_t activations = vldrhq_s32(x);
        a = vmladavaq_s32(a, vldrbq_s32(w), activations);
        b = vmladavaq_s32(b, vldrbq_s32(w + 4), activations);
        c = vmladavaq_s32(c, vldrbq_s32(w + 8), activations);
        d = vmladavaq_s32(d, vldrbq_s32(w + 12), activations);
        w += 16;
    }
    sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
    return w;
}

#elif defined(__ARM_FEATURE_DSP) && defined(__thumb2__) /* LDRD takes any two registers in Thumb code only */

/* Four weights, at `offset`, times the activations in `first` and `second`, added to a sum. Written out, because
 * compilers load ahead until they run out of registers.
 */
#define QUAD(offset, sum)                      \
    "ldr %[weights], [%[w], #" offset "]\n\t"  \
    "sxtb16 %[pair], %[weights]\n\t"           \
    "smlad " sum ", %[pair], %[first], " sum "\n\t" \
    "sxtb16 %[pair], %[weights], ror #8\n\t"   \
    "smlad " sum ", %[pair], %[second], " sum "\n\t"
#define NEXT_ACTIVATIONS "ldrd %[first], %[second], [%[x]], #8\n\t"
#define OPERANDS                                                                                             \
    [w] "+r"(w), [x] "+r"(x), [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [weights] "=&r"(weights),    \
        [pair] "=&r"(pair), [first] "=&r"(first), [second] "=&r"(second)

INLINE const int8_t *dot_4_rows(const int8_t *w, const int16_t *x, int columns, int32_t sums[4])
{
    const int16_t *end = x + columns / 8 * 8;
    int32_t a = 0, b = 0, c = 0, d = 0;
    uint32_t weights, pair, first, second;
    while (x != end)
        __asm__ volatile(NEXT_ACTIVATIONS
                         QUAD("0", "%[a]") QUAD("8", "%[b]") QUAD("16", "%[c]") QUAD("24", "%[d]")
                         NEXT_ACTIVATIONS
                         QUAD("4", "%[a]") QUAD("12", "%[b]") QUAD("20", "%[c]") QUAD("28", "%[d]")
                         "adds %[w], #32" : OPERANDS : : "cc", "memory");
    if (columns % 8 != 0)
        __asm__ volatile(NEXT_ACTIVATIONS
                         QUAD("0", "%[a]") QUAD("4", "%[b]") QUAD("8", "%[c]") QUAD("12", "%[d]")
                         "adds %[w], #16" : OPERANDS : : "cc", "memory");
    sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
    return w;
}

#else

INLINE const int8_t *dot_4_rows(const int8_t *w, const int16_t *x, int columns, int32_t sums[4])
{
    int32_t a = 0, b = 0, c = 0, d = 0;
    const int16_t *end = x + columns / 8 * 8;
#define COLUMN(column, at, width)       \
    do {                                \
        int32_t value = x[column];      \
        a += value * w[at];             \
        b += value * w[width + at];     \
        c += value * w[2 * width + at]; \
        d += value * w[3 * width + at]; \
    } while (0)
    for (; x != end; x += 8, w += 32) {
        COLUMN(0, 0, 8);
        COLUMN(1, 2, 8);
        COLUMN(2, 1, 8);
        COLUMN(3, 3, 8);
        COLUMN(4, 4, 8);
        COLUMN(5, 6, 8);
        COLUMN(6, 5, 8);
        COLUMN(7, 7, 8);
    }
    if (columns % 8 != 0) {
        COLUMN(0, 0, 4);
        COLUMN(1, 2, 4);
        COLUMN(2, 1, 4);
        COLUMN(3, 3, 4);
        w += 16;
    }
#undef COLUMN
    sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
    return w;
}

#endif

