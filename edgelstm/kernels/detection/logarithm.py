"""The decimal logarithm, of our own: a library's differs in the last bit from machine to machine."""

from edgelstm.kernels.compiled import njit

_SQRT_2 = 1.4142135623730951
_LOG10_2 = 0.30102999566398120
_TWO_OVER_LN_10 = 0.86858896380650366


@njit(inlined=True)
def log10(x):
    """Return log10(x) for 1 <= x < 2**1000, to about one part in 10**15.

    x is brought to between sqrt(1/2) and sqrt(2) by exact powers of two; there ln x = 2 artanh((x-1)/(x+1)),
    whose series in z*z < 0.0295 is cut where the next term is below 2**-56.
    """
    exponent = 0.0
    while x >= 18446744073709551616.0:
        x = x * 5.421010862427522e-20
        exponent = exponent + 64.0
    while x >= 256.0:
        x = x * 0.00390625
        exponent = exponent + 8.0
    while x > _SQRT_2:
        x = x * 0.5
        exponent = exponent + 1.0
    z = (x - 1.0) / (x + 1.0)
    s = z * z
    series = 0.047619047619047616
    series = series * s + 0.052631578947368418
    series = series * s + 0.058823529411764705
    series = series * s + 0.066666666666666666
    series = series * s + 0.076923076923076927
    series = series * s + 0.090909090909090912
    series = series * s + 0.1111111111111111
    series = series * s + 0.14285714285714285
    series = series * s + 0.2
    series = series * s + 0.33333333333333331
    series = series * s + 1.0
    return exponent * _LOG10_2 + z * series * _TWO_OVER_LN_10
