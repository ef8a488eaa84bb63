/* Gated recurrent unit: z_x and z_h are Q15.16, gates r, u, n; state Q8.23, within 1; hidden Q0.15. */
static void gru_cell(int units, const int32_t *z_x, const int32_t *z_h, int32_t *state, int16_t *hidden,
                     int reset_after)
{
    for (int unit = 0; unit < units; unit++) {
        int32_t u = sigmoid(z_x[units + unit] + z_h[units + unit]);
        int32_t n_h = z_h[2 * units + unit];
        if (reset_after)
            n_h = mulr(sigmoid(z_x[unit] + z_h[unit]), n_h);
        int32_t n = rshift(hyperbolic_tangent(z_x[2 * units + unit] + n_h), 7);
        state[unit] = n + mulr(u, state[unit] - n);
        hidden[unit] = saturate16(rshift(state[unit], 8));
    }
}

