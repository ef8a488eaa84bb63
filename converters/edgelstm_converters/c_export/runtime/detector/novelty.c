/* ---- Novelty: how far a value is outside all that was seen, in widths of that range -------------------------- */
static void novelty_observe(const baseline *of, channel *c, double x)
{
    double low = c->lowest_seen, high = c->highest_seen;
    double outside = larger(larger(x - high, low - x), 0.0);
    if (outside > 0.0)
        outside = outside / larger(high - low, of->level_floor);
    c->signals[NOVELTY] = outside;
}

/* Widen the range to a value that is taken for normal. */
static void novelty_learn(channel *c, double x)
{
    c->lowest_seen = smaller(c->lowest_seen, x);
    c->highest_seen = larger(c->highest_seen, x);
}

