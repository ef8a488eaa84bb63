/* ---- The network hears all channels at once ------------------------------------------------------------------ */

/* What stands for a channel: its value, the last one where it is missing, or the calibrated mean. */
static double heard(const baseline *of, channel *c, int present, float x)
{
    if (present) {
        c->last_value = (double)x;
        c->seen = 1;
    }
    return c->seen ? c->last_value : of->mean;
}

static void step_networks(detector *d, const float *x, const uint8_t *present, float said[NETWORKS][OUTPUTS])
{
    float feed[CHANNELS];
    for (int n = 0; n < CHANNELS; n++)
        feed[n] = (float)heard(&baselines[n], &d->channels[n], present[n], x[n]);
    network_step(&d->networks[0], feed, said[0]);
}

/* Whether the forecast of channel `n` counts: there is one, and it was made from a value of its own. */
static int has_error(const detector *d, int n)
{
    return forecast_of[n] >= 0 && d->has_forecast && d->channels[n].present;
}

/* Keep what is expected: the network's forecast of the next sample, or this one as it rebuilds it. */
static void expect(detector *d, const uint8_t *present, float said[NETWORKS][OUTPUTS])
{
    d->has_forecast = 1;
    for (int n = 0; n < CHANNELS; n++) {
        d->channels[n].present = present[n];
        if (forecast_of[n] >= 0)
            d->channels[n].forecast = (double)said[0][forecast_of[n]];
    }
}

static double spread_of(float said[NETWORKS][OUTPUTS], int n)
{
#if HEARS_SPREAD
    return (double)said[0][spread_output_of[n]];
#else
    (void)said;
    (void)n;
    return 0.0;
#endif
}

static double logit_of(float said[NETWORKS][OUTPUTS], int n)
{
    (void)n;
    return (double)said[0][LOGIT_OUTPUT];
}

