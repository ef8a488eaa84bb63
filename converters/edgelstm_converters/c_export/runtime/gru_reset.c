/* r * hidden, Q0.15, for cells that reset before the product of the new gate. */
static void gru_reset(int units, const int32_t *z_x, const int32_t *z_h, const int16_t *hidden, int16_t *result)
{
    for (int unit = 0; unit < units; unit++)
        result[unit] = saturate16(mulr(sigmoid(z_x[unit] + z_h[unit]), hidden[unit]));
}

