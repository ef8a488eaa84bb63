/* ---- Sums and quotients of 64 bits ------------------------------------------------------------------------- */
INLINE int32_t saturate32(int64_t value)
{
    return value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : (int32_t)value;
}

/* The quotient rounded towards minus infinity, for a divisor above 0. */
INLINE int64_t divide_floor(int64_t value, int64_t divisor)
{
    return value / divisor - (value % divisor < 0);
}

/* The integer part of the square root of a value below 2^62. */
OPERATION int32_t square_root(int64_t value)
{
    uint32_t root = 0;
    for (uint32_t bit = 0x40000000; bit != 0; bit >>= 1)
        if ((uint64_t)(root | bit) * (root | bit) <= (uint64_t)value)
            root |= bit;
    return (int32_t)root;
}

