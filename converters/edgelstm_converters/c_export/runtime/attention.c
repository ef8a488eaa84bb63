/* ---- Attention over the rows of a ring ----------------------------------------------------------------------- */
INLINE void count_up(int32_t *count, int rows)
{
    *count = *count < rows ? *count + 1 : rows;
}

/* The row that was written `age` samples before the newest; `position` is the row that is written next. */
INLINE const int16_t *row_of_age(const int16_t *ring, int width, int rows, int32_t position, int age)
{
    int32_t row = position - 1 - age;
    return ring + (row < 0 ? row + rows : row) * width;
}

/* Products of a query with the newest rows, for each head, Q15.16, by age. */
OPERATION void score_dot(const int16_t *query, const int16_t *ring, int width, int rows, int32_t position, int32_t count,
                         int heads, int32_t multiplier, int shift, int32_t *scores)
{
    const int wide = width / heads;
    for (int age = 0; age < count; age++) {
        const int16_t *key = row_of_age(ring, width, rows, position, age);
        for (int head = 0; head < heads; head++) {
            int64_t sum = 0;
            for (int column = head * wide; column < (head + 1) * wide; column++)
                sum += (int32_t)query[column] * key[column];
            int32_t product = saturate32((sum + 0x800) >> 12);
            scores[head * rows + age] = mulr(shift_left_saturating(product, shift), multiplier);
        }
    }
}

/* sum(weight * tanh(query + key)) for the newest rows, Q15.16, by age; the query is Q15.16, keys are Q4.11. */
OPERATION void score_additive(const int32_t *query, const int16_t *ring, int width, int rows, int32_t position,
                              int32_t count, const int32_t *weights, int32_t *scores)
{
    for (int age = 0; age < count; age++) {
        const int16_t *key = row_of_age(ring, width, rows, position, age);
        int64_t sum = 0;
        for (int column = 0; column < width; column++)
            sum += mulr(hyperbolic_tangent(query[column] + key[column] * 32), weights[column]);
        scores[age] = saturate32(sum);
    }
}

/* The sum of the newest rows, weighted by the softmax of their scores, times 2^8. */
OPERATION void attend(int32_t *scores, const int16_t *ring, int width, int rows, int32_t position, int32_t count, int heads,
                      int32_t *result)
{
    const int wide = width / heads;
    for (int head = 0; head < heads; head++) {
        int32_t *weights = scores + head * rows;
        softmax(count, weights);
        for (int column = head * wide; column < (head + 1) * wide; column++) {
            int64_t sum = 0;
            for (int age = 0; age < count; age++)
                sum += (int64_t)weights[age] * row_of_age(ring, width, rows, position, age)[column];
            result[column] = (int32_t)((sum + 0x400000) >> 23);
        }
    }
}

