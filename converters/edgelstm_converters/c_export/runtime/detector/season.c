/* ---- Season: a mean for each bin of it, and the mean residual over some samples ------------------------------ */
#define LARGEST_RESIDUAL 10.0

/* Which of the season's bins a time is in; the remainder is that of a division rounded down, also before 1970. */
static int32_t season_bin(int64_t time_ns)
{
    int64_t within = time_ns % SEASON_NS;
    if (within < 0)
        within += SEASON_NS;
    return (int32_t)(within * SEASON_BINS / SEASON_NS);
}

static double season_scale(const baseline *of, const channel *c)
{
    return larger(DEVIATION_OF_SPREAD * c->season_spread, of->level_floor);
}

static void season_observe(const baseline *of, channel *c, int32_t bin, double x)
{
    double residual = clip((x - c->season[bin]) / season_scale(of, c), LARGEST_RESIDUAL);
    c->season_mean = c->season_mean + SEASON_MEAN_GAIN * (residual - c->season_mean);
    c->signals[SEASON] = absolute(c->season_mean);
}

/* Move the mean of a bin, and the spread about it, by one value that is taken for normal. */
static void season_learn(const baseline *of, channel *c, int32_t bin, double x)
{
    double residual = clip(x - c->season[bin], LARGEST_ERROR * season_scale(of, c));
    c->season[bin] = c->season[bin] + SEASON_GAIN * residual;
    c->season_spread = c->season_spread + ERROR_GAIN * (absolute(residual) - c->season_spread);
}

