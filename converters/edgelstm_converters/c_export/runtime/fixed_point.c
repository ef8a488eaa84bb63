/* ---- Fixed point ------------------------------------------------------------------------------------------
 * As docs/arithmetic.md has it. Shifts to the right of negative numbers are arithmetic, as every compiler for
 * the targets of this file makes them.
 */
#if defined(__GNUC__)
#define INLINE static inline __attribute__((unused, always_inline))
#define OPERATION static __attribute__((unused))
#define ALIGNED __attribute__((aligned(8)))
#define KEEP_LOOP() __asm__ volatile("") /* so that a compiler makes no call of memset or memcpy of it */
#else
#define INLINE static inline
#define OPERATION static
#define ALIGNED
#define KEEP_LOOP()
#endif

/* (a * b + 2^31) >> 32, a high product rounded to the nearest. */
INLINE int32_t mulh(int32_t a, int32_t b)
{
#if defined(__ARM_FEATURE_DSP)
    int32_t result;
    __asm__("smmulr %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
    return result;
#elif defined(__thumb__) && !defined(__thumb2__)
    /* ARMv6-M multiplies 32 by 32 bits to 32: four products of halves, none of which can overflow. */
    int32_t a_high = a >> 16, b_high = b >> 16;
    int32_t a_low = a & 0xffff, b_low = b & 0xffff;
    int32_t middle = a_high * b_low + (int32_t)(((uint32_t)a_low * (uint32_t)b_low) >> 16);
    int32_t low = a_low * b_high + (middle & 0xffff);
    return a_high * b_high + (middle >> 16) + (((low >> 15) + 1) >> 1);
#else
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 31)) >> 32);
#endif
}

/* c + mulh(a, b) */
INLINE int32_t mulh_add(int32_t a, int32_t b, int32_t c)
{
#if defined(__ARM_FEATURE_DSP)
    int32_t result;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(c));
    return result;
#else
    return c + mulh(a, b);
#endif
}

/* (a * b + 2^30) >> 31, for b from -2^30 to 2^30 - 1. */
INLINE int32_t mulr(int32_t a, int32_t b)
{
    return mulh(a, 2 * b);
}

/* (value + 2^(bits - 1)) >> bits, without a sum that could overflow. */
INLINE int32_t rshift(int32_t value, int bits)
{
    return ((value >> (bits - 1)) + 1) >> 1;
}

INLINE int32_t limit(int32_t value, int32_t low, int32_t high)
{
    return value < low ? low : value > high ? high : value;
}

INLINE int16_t saturate16(int32_t value)
{
#if defined(__ARM_FEATURE_SAT)
    int32_t result;
    __asm__("ssat %0, #16, %1" : "=r"(result) : "r"(value));
    return (int16_t)result;
#else
    return (int16_t)limit(value, -32768, 32767);
#endif
}

/* saturate16((value + 2^14) >> 15), for values that are far from the ends of int32 */
INLINE int16_t narrow_15(int32_t value)
{
#if defined(__ARM_FEATURE_SAT)
    int32_t result;
    __asm__("ssat %0, #16, %1, asr #15" : "=r"(result) : "r"(value + 0x4000));
    return (int16_t)result;
#else
    return saturate16((value + 0x4000) >> 15);
#endif
}

INLINE int32_t saturate31(int32_t value)
{
#if defined(__ARM_FEATURE_SAT)
    int32_t result;
    __asm__("ssat %0, #31, %1" : "=r"(result) : "r"(value));
    return result;
#else
    return limit(value, -0x40000000, 0x3fffffff);
#endif
}

