/* result[r] = from[r] + mulr(weights[r] . x, multipliers[r]) for every row; `from` are the biases, or `result`
 * itself. Multipliers are stored doubled; columns are a multiple of 4, rows are padded to one in the weights.
 */
static void row_product(const int8_t *weights, const int32_t *multipliers, const int32_t *from, int rows,
                        int columns, const int16_t *x, int32_t *result)
{
    int32_t sums[4];
#if defined(__ARM_FEATURE_MVE)
    int16_t exchanged[LONGEST_VECTOR];
    exchange_inner(x, columns, exchanged);
    x = exchanged;
#endif
    for (; rows >= 4; rows -= 4, multipliers += 4, from += 4, result += 4) {
        weights = dot_4_rows(weights, x, columns, sums);
#if defined(__ARM_FEATURE_MVE)
        int32x4_t scaled = vrmulhq_s32(vldrwq_s32(sums), vldrwq_s32(multipliers));
        vstrwq_s32(result, vaddq_s32(vldrwq_s32(from), scaled));
#else
        int32_t a = mulh_add(sums[0], multipliers[0], from[0]), b = mulh_add(sums[1], multipliers[1], from[1]);
        int32_t c = mulh_add(sums[2], multipliers[2], from[2]), d = mulh_add(sums[3], multipliers[3], from[3]);
        result[0] = a, result[1] = b, result[2] = c, result[3] = d;
#endif
    }
#if ROWS_LEFT_OVER
    if (rows > 0)
        dot_4_rows(weights, x, columns, sums);
    for (int row = 0; row < rows; row++)
        result[row] = mulh_add(sums[row], multipliers[row], from[row]);
#endif
}

