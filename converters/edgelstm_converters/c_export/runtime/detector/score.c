/* ---- Score: the surprises of all channels joined, and each channel's share ----------------------------------- */
#define SIGMAS_OF_BAND 3.0

static double fourth_power(double x)
{
    double square = x * x;
    return square * square;
}

/* What a signal adds to the fourth power of the score. */
static double part_of(const baseline *of, const channel *c, int at)
{
    int signal = signal_of_tail[at];
    return fourth_power(of->weights[signal] * surprise(c->signals[signal], &c->tails[at]));
}

/* The channel's part of the fourth power of the score; it goes to `why`, too. */
static double judge(const baseline *of, const channel *c, reason *why)
{
    double total = 0.0;
    for (int n = 0; n < TAILS; n++)
        if (shows(of, c, signal_of_tail[n]))
            total = total + part_of(of, c, n);
    why->share = total;
    return total;
}

/* The signal that says most; only where somebody asks why. */
static void name_strongest(const baseline *of, const channel *c, reason *why)
{
    double most = -1.0;
    why->strongest = 0;
    for (int n = 0; n < TAILS; n++)
        if (shows(of, c, signal_of_tail[n])) {
            double part = part_of(of, c, n);
            if (part > most) {
                most = part;
                why->strongest = signal_of_tail[n];
            }
        }
}

/* A channel's value, its share of `total`, and what its strongest signal expected, and how widely. */
static void explain(const baseline *of, const channel *c, int32_t bin, double total, double x, reason *why)
{
    double scale;
    why->value = x;
    why->share = why->share / total;
    if ((why->strongest == ERROR || why->strongest == ERROR_MEAN) && c->shown >> ERROR & 1) {
        why->expected = c->forecast;
        scale = error_scale(of, c);
#if SEASON_BINS > 0
    } else if (why->strongest == SEASON) {
        why->expected = c->season[bin];
        scale = season_scale(of, c);
#endif
    } else {
        why->expected = c->long_mean;
        scale = level_scale(of, c);
    }
    (void)bin;
    why->band = SIGMAS_OF_BAND * scale;
}

