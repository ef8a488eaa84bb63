/* ---- Activations ------------------------------------------------------------------------------------------
 * The odd function s(x) - 1/2 at 513 knots from 0 to 16, Q0.31, linear between them.
 */
static const int32_t above_half_knots[513] = {
@TABLE@
};

/* value, negated where sign is negative */
INLINE int32_t with_sign_of(int32_t value, int32_t sign)
{
    return (value ^ (sign >> 31)) - (sign >> 31);
}

INLINE int32_t magnitude(int32_t value)
{
    return with_sign_of(value, value);
}

/* A magnitude in Q15.16 limited to where the table ends, just below 16; its half to just below 8. */
#if defined(__ARM_FEATURE_SAT)
INLINE int32_t inside_table(int32_t value)
{
    int32_t result;
    __asm__("usat %0, #20, %1" : "=r"(result) : "r"(value));
    return result;
}

INLINE int32_t inside_half(int32_t value)
{
    int32_t result;
    __asm__("usat %0, #19, %1" : "=r"(result) : "r"(value));
    return result;
}
#else
INLINE int32_t inside_table(int32_t value)
{
    return value > 0xfffff ? 0xfffff : value;
}

INLINE int32_t inside_half(int32_t value)
{
    return value > 0x7ffff ? 0x7ffff : value;
}
#endif

/* s(z) - 1/2 in Q0.31 for |z| in Q15.16, below 16, and a number that has the sign of z. */
INLINE int32_t above_half(int32_t size, int32_t sign)
{
    const int32_t *knot = above_half_knots + ((uint32_t)size >> 11);
#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__) /* LDRD takes any two registers in Thumb code only */
    int32_t here, next;
    __asm__("ldrd %0, %1, [%2]" : "=r"(here), "=r"(next) : "r"(knot));
#else
    int32_t here = knot[0], next = knot[1];
#endif
    int32_t value = here + ((((next - here) >> 4) * (size & 2047)) >> 7);
    return with_sign_of(value, sign);
}

/* Q0.31, for z in Q15.16 */
INLINE int32_t sigmoid(int32_t z)
{
    return above_half(inside_table(magnitude(z)), z) + 0x40000000;
}

/* Q0.30, for z in Q15.16 */
INLINE int32_t hyperbolic_tangent(int32_t z)
{
    return above_half(2 * inside_half(magnitude(z)), z);
}

/* Q0.30, for a cell in Q7.23 */
INLINE int32_t tanh_of_cell(int32_t cell)
{
    return above_half(inside_table((magnitude(cell) + 32) >> 6), cell);
}

#if defined(__ARM_FEATURE_MVE)
/* Four units at a time; only models with units past a multiple of four have lanes to switch off. */
#if UNITS_LEFT_OVER
#define LANES(left) mve_pred16_t lanes = vctp32q((uint32_t)(left))
#define LOAD_LANES(from) vldrwq_z_s32(from, lanes)
#define LOAD_HALF_LANES(from) vldrhq_z_s32(from, lanes)
#define STORE_LANES(to, value) vstrwq_p_s32(to, value, lanes)
#define STORE_HALF_LANES(to, value) vstrhq_p_s32(to, value, lanes)
#else
#define LANES(left) (void)(left)
#define LOAD_LANES(from) vldrwq_s32(from)
#define LOAD_HALF_LANES(from) vldrhq_s32(from)
#define STORE_LANES(to, value) vstrwq_s32(to, value)
#define STORE_HALF_LANES(to, value) vstrhq_s32(to, value)
#endif

INLINE int32x4_t above_half_4(int32x4_t size, int32x4_t sign)
{
    uint32x4_t knot = vreinterpretq_u32_s32(vshrq_n_s32(size, 11));
    int32x4_t here = vldrwq_gather_shifted_offset_s32(above_half_knots, knot);
    int32x4_t next = vldrwq_gather_shifted_offset_s32(above_half_knots + 1, knot);
    int32x4_t step = vshrq_n_s32(vsubq_s32(next, here), 4);
    int32x4_t part = vandq_s32(size, vdupq_n_s32(2047));
    int32x4_t value = vaddq_s32(here, vshrq_n_s32(vmulq_s32(step, part), 7));
    return vnegq_m_s32(value, value, vcmpltq_n_s32(sign, 0));
}

INLINE int32x4_t inside_table_4(int32x4_t value)
{
    return vminq_s32(value, vdupq_n_s32(0xfffff));
}

INLINE int32x4_t sigmoid_4(int32x4_t z)
{
    return vaddq_n_s32(above_half_4(inside_table_4(vabsq_s32(z)), z), 0x40000000);
}

INLINE int32x4_t hyperbolic_tangent_4(int32x4_t z)
{
    return above_half_4(vshlq_n_s32(vminq_s32(vabsq_s32(z), vdupq_n_s32(0x7ffff)), 1), z);
}

INLINE int32x4_t tanh_of_cell_4(int32x4_t cell)
{
    return above_half_4(inside_table_4(vrshrq_n_s32(vabsq_s32(cell), 6)), cell);
}
#endif

