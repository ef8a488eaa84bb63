INLINE int32_t shift_left_saturating(int32_t value, int bits)
{
    int32_t most = INT32_MAX >> bits;
    return value > most ? INT32_MAX : value < -most - 1 ? INT32_MIN : (int32_t)((uint32_t)value << bits);
}

