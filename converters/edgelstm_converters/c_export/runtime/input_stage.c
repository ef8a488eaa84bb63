/* ---- From float to int16 ----------------------------------------------------------------------------------- */
#if defined(__FAST_MATH__)
#error "compile without -ffast-math: the bits of this model need IEEE arithmetic"
#endif
#if FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16
#error "this compiler computes float in a wider type: the bits of this model need float (on x86: -mfpmath=sse)"
#endif

/* GNU C lets a product and a sum be rounded once for both; ISO C modes of GCC do not. */
#if defined(__FP_FAST_FMAF) && !defined(__STRICT_ANSI__)
#define ROUNDED(value) __asm__("" : "+m"(value))
#else
#define ROUNDED(value) (void)(value)
#endif

INLINE uint32_t float_bits(float value)
{
    union { float number; uint32_t bits; } both;
    both.number = value;
    return both.bits;
}

INLINE int is_finite(float value)
{
    return (float_bits(value) & 0x7f800000u) != 0x7f800000u;
}

/* saturate16(rint((x - offset) * gain)). Adding 1.5 * 2^23 leaves the rounded integer in the low bits. */
INLINE int16_t quantize(float x, float offset, float gain)
{
    float scaled = (x - offset) * gain;
    ROUNDED(scaled);
    if (scaled >= 32767.0f)
        return 32767;
    if (scaled <= -32768.0f)
        return -32768;
    return (int16_t)((int32_t)float_bits(scaled + 12582912.0f) - 0x4b400000);
}

