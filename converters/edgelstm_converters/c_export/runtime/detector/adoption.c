/* ---- Adoption: a new normal, learned aside while an alert is open, adopted when that has been so for too long -- */
static void learn_aside(channel *c, double x, int has_error)
{
    if (c->adopted_count == 0) {
        c->adopted_mean = x;
        c->adopted_variance = 0.0;
        c->adopted_spread = c->error_spread;
    }
    c->adopted_count++;
    double gain = larger(LONG_GAIN, 1.0 / (double)c->adopted_count);
    double away = x - c->adopted_mean;
    c->adopted_mean = c->adopted_mean + gain * away;
    c->adopted_variance = (1.0 - gain) * (c->adopted_variance + gain * away * away);
    if (has_error)
        c->adopted_spread = c->adopted_spread + gain * (c->absolute_error - c->adopted_spread);
}

/* Make what was learned aside the channel's baselines; spreads only grow; the season moves as a whole. */
static void adopt(channel *c)
{
    if (c->adopted_count == 0)
        return;
#if SEASON_BINS > 0
    double moved = c->short_mean - c->long_mean;
    for (int bin = 0; bin < SEASON_BINS; bin++)
        c->season[bin] = c->season[bin] + moved;
#endif
    c->long_mean = c->short_mean;
    c->variance = larger(c->variance, c->adopted_variance);
    c->error_spread = larger(c->error_spread, c->adopted_spread);
    c->signals[ERROR_MEAN] = smaller(c->signals[ERROR_MEAN], 1.0);
    c->repeats = 0;
    novelty_learn(c, c->last_value);
#if HEARS_SPREAD
    c->usual_spread = larger(c->usual_spread, c->network_spread);
#endif
}

