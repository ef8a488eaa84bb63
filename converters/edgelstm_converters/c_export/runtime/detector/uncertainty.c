/* ---- Uncertainty: the spread that the network gives of its forecast, in multiples of the usual one ------------ */
static double usual_spread(const baseline *of, const channel *c)
{
    return larger(c->usual_spread, of->spread_floor);
}

static void uncertainty_observe(const baseline *of, channel *c, double unsure)
{
    c->network_spread = larger(unsure, 0.0);
    c->signals[SPREAD] = c->network_spread / usual_spread(of, c);
}

/* Move the usual spread by one that is taken for normal. */
static void uncertainty_learn(const baseline *of, channel *c)
{
    double step = smaller(c->network_spread, LARGEST_ERROR * usual_spread(of, c)) - c->usual_spread;
    c->usual_spread = c->usual_spread + ERROR_GAIN * step;
}

