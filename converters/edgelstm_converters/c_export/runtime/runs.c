/* ---- Masked runs of the same layers --------------------------------------------------------------------------- */
OPERATION void mask(const int16_t *x, int width, const int8_t *kept, int16_t *result)
{
    for (int column = 0; column < width; column++)
        result[column] = kept[column] ? x[column] : 0;
}

/* The means of the columns of a sequence, then their standard deviations, both times 2^8. */
OPERATION void spread(const int16_t *sequence, int width, int rows, int32_t *result)
{
    for (int column = 0; column < width; column++) {
        int32_t total = 0;
        int64_t square = 0;
        for (int row = 0; row < rows; row++) {
            int32_t value = sequence[row * width + column];
            total += value;
            square += value * value;
        }
        square = rows * square - (int64_t)total * total;
        result[column] = (int32_t)divide_floor(total * 256 + (rows >> 1), rows);
        result[width + column] = square_root(square * 0x10000) / rows;
    }
}

