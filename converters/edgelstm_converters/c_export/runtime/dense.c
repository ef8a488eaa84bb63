/* What follows the product of a dense layer. */
INLINE void relu(int32_t *z, int units)
{
    for (int unit = 0; unit < units; unit++)
        z[unit] = z[unit] < 0 ? 0 : z[unit];
}

INLINE void sigmoids(int32_t *z, int units)
{
    for (int unit = 0; unit < units; unit++)
        z[unit] = sigmoid(z[unit]);
}

INLINE void hyperbolic_tangents(int32_t *z, int units)
{
    for (int unit = 0; unit < units; unit++)
        z[unit] = 2 * hyperbolic_tangent(z[unit]);
}

INLINE void narrow(const int32_t *z, int units, int bits, int16_t *result)
{
    for (int unit = 0; unit < units; unit++)
        result[unit] = saturate16(rshift(z[unit], bits));
}

