/* ---- Level: the short mean against the long mean, scaled by the running deviation --------------------------- */
#define LARGEST_STEP 20.0
#define CLEARLY_WITHIN (LARGEST_ERROR * LARGEST_ERROR - 1.0) /* a square below so many variances is within, however rounded */

/* The first value is where the long mean begins; while an alert is open it begins at the calibrated mean. */
static void level_observe(const baseline *of, channel *c, double x, int frozen)
{
    double scale = level_scale(of, c);
    if (c->long_count == 0 && !frozen)
        c->long_mean = x;
    if (c->short_count == 0)
        c->short_mean = c->long_mean;
    c->short_count++;
    double within = c->long_mean + clip(x - c->long_mean, LARGEST_STEP * scale);
    double gain = gain_of(SHORT_GAIN, c->short_count);
    c->short_mean = c->short_mean + gain * (within - c->short_mean);
    c->signals[LEVEL] = absolute(c->short_mean - c->long_mean) / scale;
}

/* A difference brought to LARGEST_ERROR scales; where it clearly is less, without the square root. */
static double within_scales(const baseline *of, const channel *c, double away)
{
    if (away * away <= CLEARLY_WITHIN * c->variance)
        return away;
    return clip(away, LARGEST_ERROR * level_scale(of, c));
}

/* Move the long mean by one value: all that is learned while the network warms up. Returns how far it was away. */
static double level_learn_mean(const baseline *of, channel *c, double x)
{
    c->long_count++;
    double away = within_scales(of, c, x - c->long_mean);
    c->long_mean = c->long_mean + gain_of(LONG_GAIN, c->long_count) * away;
    return away;
}

/* Move the long mean and the variance about it by one value that is taken for normal. */
static void level_learn(const baseline *of, channel *c, double x)
{
    double away = level_learn_mean(of, c, x);
    c->variance = c->variance + LONG_GAIN * (away * away - c->variance);
}

