/* As row_product, each row's sum first shifted left by shifts[r], saturating. */
static void row_product_shifted(const int8_t *weights, const int32_t *multipliers, const uint8_t *shifts,
                                const int32_t *from, int rows, int columns, const int16_t *x, int32_t *result)
{
#if defined(__ARM_FEATURE_MVE)
    int16_t exchanged[LONGEST_VECTOR];
    exchange_inner(x, columns, exchanged);
    x = exchanged;
#endif
    for (; rows > 0; rows -= 4, multipliers += 4, shifts += 4, from += 4, result += 4) {
        int32_t sums[4];
        weights = dot_4_rows(weights, x, columns, sums);
        for (int row = 0; row < 4 && row < rows; row++)
            result[row] = mulh_add(shift_left_saturating(sums[row], shifts[row]), multipliers[row], from[row]);
    }
}

