/* ---- Novelty: how far a value is outside all that was seen, in widths of that range -------------------------- */
static void novelty_observe(const baseline *of, channel *c, double x)
{
    double low = c->lowest_seen, high = c->highest_seen;
    double width = larger(high - low, of->level_floor);
    c->signals[NOVELTY] = larger(larger(x - high, low - x), 0.0) / width;
}

/* Widen the range to a value that is taken for normal. */
static void novelty_learn(channel *c, double x)
{
    c->lowest_seen = smaller(c->lowest_seen, x);
    c->highest_seen = larger(c->highest_seen, x);
}

