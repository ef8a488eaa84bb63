/* ---- Forecast error, scaled by its running spread, and its mean over a few samples -------------------------- */
#define LARGEST_SCALED_ERROR 10.0

static void error_observe(const baseline *of, channel *c, double x)
{
    double error = absolute(x - c->forecast);
    double scaled = error / error_scale(of, c);
    c->absolute_error = error;
    c->signals[ERROR] = scaled;
    double mean = c->signals[ERROR_MEAN];
    double step = smaller(scaled, LARGEST_SCALED_ERROR) - mean;
    c->signals[ERROR_MEAN] = mean + ERROR_MEAN_GAIN * step;
}

/* Move the spread by one error that is taken for normal. */
static void error_learn(const baseline *of, channel *c)
{
    double largest = LARGEST_ERROR * error_scale(of, c);
    double step = smaller(c->absolute_error, largest) - c->error_spread;
    c->error_spread = c->error_spread + ERROR_GAIN * step;
}

