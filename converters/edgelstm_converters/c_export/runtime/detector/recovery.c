/* ---- Recovery: an open alert is followed on the channels that raised it, and clears when these are back -------- */
#if RECOVERS
#define BEARING_SAMPLES 20 /* the first samples of an alert say who raised it */
#define BEARING_SHARE 0.3  /* whose part came to so much of the loudest one's */
#define SPEAKS 0.5         /* who did not, and alone comes to this share of the threshold, is at a level of its own */

/* The part from which on a channel is one of those that raised the alert. */
static double least_bearing(const detector *d)
{
    double most = 0.0;
    for (int n = 0; n < CHANNELS; n++)
        most = larger(most, d->channels[n].bearing);
    return BEARING_SHARE * most;
}

/* Whether the level of a channel, where it was the level that spoke, is back from its largest in the alert. */
static int is_back(const baseline *of, const channel *c)
{
#if LEVEL_TAIL < 0
    (void)of;
    (void)c;
    return 0;
#else
    double weight = of->weights[LEVEL];
    if (weight == 0.0 || c->signals[LEVEL] >= RECOVERY_RATIO * c->largest_level)
        return 0;
    return fourth_power(weight * surprise(c->largest_level, &c->tails[LEVEL_TAIL])) >= BEARING_SHARE * c->bearing;
#endif
}

/* Take in a sample of an open alert; returns the score of the channels that raised it and are not back. */
static double follow(detector *d, const reason *why)
{
    for (int n = 0; n < CHANNELS; n++) {
        channel *c = &d->channels[n];
        if (d->open_samples == 1) {
            c->bearing = 0.0;
            c->largest_level = 0.0;
        }
        c->part = why[n].share;
        if (d->open_samples <= BEARING_SAMPLES)
            c->bearing = larger(c->bearing, c->part);
        c->largest_level = larger(c->largest_level, c->signals[LEVEL]);
    }
    if (d->open_samples <= BEARING_SAMPLES)
        return d->score;
    double total = 0.0, least = least_bearing(d);
    for (int n = 0; n < CHANNELS; n++) {
        const channel *c = &d->channels[n];
        if (c->bearing >= least && !is_back(&baselines[n], c))
            total = total + c->part;
    }
    return square_root(square_root(total));
}

/* Whether a channel, when the alert clears, is at a level of its own that did not raise it. */
static int has_moved(const detector *d, const channel *c, double least)
{
    return c->bearing < least && c->part > fourth_power(SPEAKS * d->threshold);
}
#endif

