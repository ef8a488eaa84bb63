/* ---- Long short-term memory with everything that variants of it have -----------------------------------------
 * Peephole connections, coupled gates, clips, other activations. z is Q15.16, gates i, f, g, o one after another,
 * without f where coupled; the cell is Q7.23.
 */
enum { WHOLE_STEP, CELL_ALONE, OUTPUT_ALONE };
enum { LINEAR, RELU, SIGMOID, TANH, HARD_SIGMOID, HARD_SIGMOID_6 };

/* Q0.31 where the activation is bounded by 1, else as z */
INLINE int32_t activation(int32_t z, int code)
{
    switch (code) {
    case RELU:
        return z < 0 ? 0 : z;
    case SIGMOID:
        return sigmoid(z);
    case TANH:
        return 2 * hyperbolic_tangent(z);
    case HARD_SIGMOID:
        return hard_sigmoid(z, 163840, 1717986918);
    case HARD_SIGMOID_6:
        return hard_sigmoid(z, 196608, 1431655765);
    default:
        return z;
    }
}

/* what is added to a cell, Q7.23 */
INLINE int32_t cell_input(int32_t z, int code)
{
    if (code == TANH)
        return rshift(hyperbolic_tangent(z), 7);
    if (code != LINEAR && code != RELU)
        return rshift(activation(z, code), 8);
    int32_t value = activation(z, code);
    return value > 0x7fffff ? 0x3fffffff : value < -0x800000 ? -0x40000000 : value * 128;
}

/* Q0.30 where the activation is bounded by 1, else Q7.23 */
INLINE int32_t cell_output(int32_t cell, int code)
{
    if (code == TANH)
        return tanh_of_cell(cell);
    return code == LINEAR || code == RELU ? activation(cell, code) : activation(rshift(cell, 7), code) >> 1;
}

/* What a gate reads, limited to `end`, or not where that is 0 */
INLINE int32_t within(int32_t z, int32_t end)
{
    return end ? limit(z, -end, end) : z;
}

/* `peephole` are weights of i, f, o (without f where coupled), or 0; `clip` and `end` are 0 for none. */
OPERATION void lstm_cell_options(int units, int stride, const int32_t *z, int32_t *cell, int16_t *hidden, int of_gates, int of_input,
                                 int of_output, int coupled, int32_t clip, const int32_t *peephole, int bits, int32_t end, int part)
{
    const int32_t *z_g = z + (coupled ? 1 : 2) * stride, *z_o = z_g + stride;
    const int32_t *peephole_o = peephole ? peephole + (coupled ? 1 : 2) * units : 0;
    for (int unit = 0; unit < units; unit++) {
        int32_t c = cell[unit];
        if (part != OUTPUT_ALONE) {
            int32_t i = activation(within(z[unit] + (peephole ? mulr(c, peephole[unit]) : 0), end), of_gates);
            int32_t f = INT32_MAX - i;
            if (!coupled)
                f = activation(within(z[stride + unit] + (peephole ? mulr(c, peephole[units + unit]) : 0), end), of_gates);
            c = saturate31(mulr(f, c) + mulr(i, cell_input(within(z_g[unit], end), of_input)));
            if (clip)
                c = limit(c, -clip, clip);
            cell[unit] = c;
        }
        if (part != CELL_ALONE) {
            int32_t o = activation(within(z_o[unit] + (peephole ? mulr(c, peephole_o[unit]) : 0), end), of_gates);
            hidden[unit] = saturate16(rshift(mulr(o, cell_output(c, of_output)), bits));
        }
    }
}

