/* ---- Row `first + step * counter` of a sequence -------------------------------------------------------------- */
OPERATION void load_row(const int16_t *sequence, int width, int32_t counter, int first, int step, int16_t *row)
{
    copy_halves(sequence + (first + step * counter) * width, width, row);
}

OPERATION void store_row(int16_t *sequence, int width, int32_t counter, int first, int step, const int16_t *row)
{
    copy_halves(row, width, sequence + (first + step * counter) * width);
}

