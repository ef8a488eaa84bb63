/* ---- Spreads: what differences of a channel are divided by -------------------------------------------------- */
#define DEVIATION_OF_SPREAD 1.2533 /* standard deviation over mean absolute deviation, for normal errors */
#define LARGEST_ERROR 8.0

static double error_scale(const baseline *of, const channel *c)
{
    return larger(DEVIATION_OF_SPREAD * c->error_spread, of->error_floor);
}

static double level_scale(const baseline *of, const channel *c)
{
    return larger(square_root(c->variance), of->level_floor);
}

/* The weight of the newest of `count` values: a plain mean until the memory of `gain` is full. */
static double gain_of(double gain, int64_t count)
{
    return gain * (double)count >= 1.0 ? gain : 1.0 / (double)count;
}

