/* ---- The last samples of a vector, in a ring of rows -------------------------------------------------------- */
OPERATION void push(const int16_t *x, int width, int16_t *ring, int rows, int32_t *position)
{
    copy_halves(x, width, ring + *position * width);
    *position = *position + 1 < rows ? *position + 1 : 0;
}

/* Every `dilation`th row, the newest last, one after another; `position` is the row that is written next. */
OPERATION void gather(const int16_t *ring, int width, int rows, int32_t position, int taps, int dilation, int16_t *result)
{
    for (int tap = 0; tap < taps; tap++) {
        int row = (int)position - 1 - dilation * (taps - 1 - tap);
        while (row < 0)
            row += rows;
        copy_halves(ring + row * width, width, result + tap * width);
    }
}

OPERATION void pool(const int16_t *ring, int width, int rows, int sum, const int32_t *parameters, int32_t *result)
{
    for (int column = 0; column < width; column++) {
        int32_t value = ring[column];
        for (int row = 1; row < rows; row++) {
            int32_t next = ring[row * width + column];
            value = sum ? value + next : next > value ? next : value;
        }
        result[column] = scaled(value, parameters, width, column);
    }
}

