/* ---- Arithmetic --------------------------------------------------------------------------------------------
 * IEEE double, one rounded operation after another, as the stages of the runtime compute: a product and a sum must
 * not become one operation. Where a core has no such unit the compiler's own routines compute the same bits.
 */
#if DBL_MANT_DIG != 53
#error "the bits of this detector need double to be IEEE binary64"
#endif

INLINE uint64_t double_bits(double value)
{
    union { double number; uint64_t bits; } both;
    both.number = value;
    return both.bits;
}

INLINE double double_of(uint64_t bits)
{
    union { double number; uint64_t bits; } both;
    both.bits = bits;
    return both.number;
}

INLINE double larger(double a, double b)
{
    return b > a ? b : a;
}

INLINE double smaller(double a, double b)
{
    return b < a ? b : a;
}

INLINE double absolute(double x)
{
    return double_of(double_bits(x) & 0x7fffffffffffffffu);
}

/* x brought to between -largest and largest */
static double clip(double x, double largest)
{
    return smaller(larger(x, -largest), largest);
}

/* The exactly rounded square root of x >= 0, bit by bit: 53 bits, and one more to round by. */
static double square_root(double x)
{
    uint64_t bits = double_bits(x), rest, root = 0;
    int32_t exponent = (int32_t)(bits >> 52);
    if (bits == 0 || exponent >= 0x7ff) /* also -0, negative, infinite, NaN: none is a variance or a score */
        return x;
    if (exponent == 0) {
        for (exponent = 1; bits >> 52 == 0; exponent--)
            bits <<= 1;
    } else {
        bits = (bits & 0xfffffffffffffu) | 0x10000000000000u;
    }
    exponent -= 1023;
    if (exponent & 1) {
        bits <<= 1;
        exponent -= 1;
    }
    uint32_t high_root = 0, high_rest = 0; /* the first 27 bits need no more than a word */
    for (int at = 52; at >= 0; at -= 2) {
        high_rest = high_rest << 2 | (uint32_t)(bits >> at & 3);
        uint32_t trial = high_root << 2 | 1;
        high_root <<= 1;
        if (high_rest >= trial) {
            high_rest -= trial;
            high_root |= 1;
        }
    }
    root = high_root;
    rest = high_rest;
    for (int at = 0; at < 27; at++) {
        rest <<= 2;
        uint64_t trial = root << 2 | 1;
        root <<= 1;
        if (rest >= trial) {
            rest -= trial;
            root |= 1;
        }
    }
    return double_of(((uint64_t)(exponent / 2 + 1022) << 52) + ((root + 1) >> 1));
}

/* log10(x) for 1 <= x < 2**1000: x is brought to between sqrt(1/2) and sqrt(2) by exact powers of two; there
 * ln x = 2 artanh((x - 1) / (x + 1)), whose series is cut where the next term is below 2**-56.
 */
static double logarithm(double x)
{
    static const double series_of[10] = {
        0.052631578947368418, 0.058823529411764705, 0.066666666666666666, 0.076923076923076927, 0.090909090909090912,
        0.1111111111111111, 0.14285714285714285, 0.2, 0.33333333333333331, 1.0,
    };
    double exponent = 0.0;
    while (x >= 18446744073709551616.0) {
        x = x * 5.421010862427522e-20;
        exponent = exponent + 64.0;
    }
    while (x >= 256.0) {
        x = x * 0.00390625;
        exponent = exponent + 8.0;
    }
    while (x > 1.4142135623730951) {
        x = x * 0.5;
        exponent = exponent + 1.0;
    }
    double z = (x - 1.0) / (x + 1.0);
    double s = z * z;
    double series = 0.047619047619047616;
    for (int n = 0; n < 10; n++)
        series = series * s + series_of[n];
    return exponent * 0.30102999566398120 + z * series * 0.86858896380650366;
}

