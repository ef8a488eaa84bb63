/* ---- Grids of pixels ------------------------------------------------------------------------------------------ */
/* What lies around a pixel, row by row, zeros beyond the edge. */
OPERATION void patch(const int16_t *grid, int rows, int columns, int values, int high, int wide, int32_t pixel,
                     int16_t *result)
{
    const int top = pixel / columns - high / 2, left = pixel % columns - wide / 2;
    for (int y = top; y < top + high; y++)
        for (int x = left; x < left + wide; x++)
            for (int value = 0; value < values; value++) {
                int inside = y >= 0 && y < rows && x >= 0 && x < columns;
                *result++ = inside ? grid[(y * columns + x) * values + value] : 0;
            }
}

/* Put the gates of one pixel to those of all pixels, where each gate's units stand together. */
OPERATION void split_gates(const int32_t *z, int gates, int units, int stride, int32_t pixel, int32_t *all, int all_stride)
{
    for (int gate = 0; gate < gates; gate++)
        copy_words(z + gate * stride, units, all + gate * all_stride + pixel * units);
}

