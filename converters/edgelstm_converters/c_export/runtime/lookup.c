/* The row of a table whose number is nearest to x scaled to Q15.16. */
OPERATION void lookup(const int16_t *x, const int32_t *parameters, const int16_t *table, int rows, int width, int16_t *result)
{
    int32_t row = limit(rshift(scaled(x[0], parameters, 1, 0), 16), 0, rows - 1);
    copy_halves(table + row * width, width, result);
}

