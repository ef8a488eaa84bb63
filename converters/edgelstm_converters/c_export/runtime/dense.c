/* What follows the product of a dense layer. */
OPERATION void relu(int units, int32_t *z)
{
    for (int unit = 0; unit < units; unit++)
        z[unit] = z[unit] < 0 ? 0 : z[unit];
}

OPERATION void sigmoids(int units, int32_t *z)
{
    for (int unit = 0; unit < units; unit++)
        z[unit] = sigmoid(z[unit]);
}

OPERATION void hyperbolic_tangents(int units, int32_t *z)
{
    for (int unit = 0; unit < units; unit++)
        z[unit] = 2 * hyperbolic_tangent(z[unit]);
}

OPERATION void narrow(int units, const int32_t *z, int bits, int16_t *result)
{
    for (int unit = 0; unit < units; unit++)
        result[unit] = saturate16(rshift(z[unit], bits));
}

