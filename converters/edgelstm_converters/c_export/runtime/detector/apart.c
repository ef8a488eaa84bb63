/* ---- The network hears each channel apart, standardised ------------------------------------------------------- */
#define LARGEST_INPUT 8.0

/* How many deviations a value is from the long mean, and from the last value, in deviations of such steps. */
static void step_networks(detector *d, const float *x, const uint8_t *present, float said[NETWORKS][OUTPUTS])
{
    for (int n = 0; n < CHANNELS; n++) {
        const baseline *of = &baselines[n];
        channel *c = &d->channels[n];
        double last = c->last_value, scale;
        if (present[n]) {
            c->last_value = (double)x[n];
            c->seen = 1;
        }
        double value = c->seen ? c->last_value : of->mean, away = 0.0, step = 0.0;
        if (c->long_count > 0)
            away = (value - c->long_mean) / level_scale(of, c);
        if (d->has_forecast) {
            scale = error_scale(of, c);
#if READS_OUT
            c->step = absolute(value - last);
            scale = step_scale(c, n);
#endif
            step = (value - last) / scale;
        }
        float feed[2];
        feed[0] = (float)clip(away, LARGEST_INPUT);
        feed[1] = (float)clip(step, LARGEST_INPUT);
        network_step(&d->networks[n], feed, said[n]);
    }
}

/* Whether the forecast of channel `n` counts: there is one, and it was made from a value of its own. */
static int has_error(const detector *d, int n)
{
    return d->has_forecast && d->channels[n].present;
}

/* What is expected is that a channel stays as it is. */
static void expect(detector *d, const uint8_t *present, float said[NETWORKS][OUTPUTS])
{
    (void)said;
    d->has_forecast = 1;
    for (int n = 0; n < CHANNELS; n++) {
        d->channels[n].present = present[n];
        d->channels[n].forecast = d->channels[n].last_value;
    }
}

static double spread_of(float said[NETWORKS][OUTPUTS], int n)
{
    (void)said;
    (void)n;
    return 0.0;
}

static double logit_of(float said[NETWORKS][OUTPUTS], int n)
{
    return (double)said[n][LOGIT_OUTPUT];
}

