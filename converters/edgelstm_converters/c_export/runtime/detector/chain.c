/* ---- The chain: policy, network, evidence, score, life cycle -------------------------------------------------- */
static void warm_up(detector *d, const float *x, const uint8_t *present)
{
    d->warm_left--;
    d->counters[WARMING]++;
    for (int n = 0; n < CHANNELS; n++)
        if (present[n]) {
            level_observe(&baselines[n], &d->channels[n], (double)x[n], d->open != 0);
            if (!d->open)
                level_learn_mean(&baselines[n], &d->channels[n], (double)x[n]);
        }
}

/* The score, and what is left of it for the alert to stay open. */
static double score_of(detector *d, int32_t bin, const float *x, const uint8_t *present, const uint8_t *repeated,
    float said[NETWORKS][OUTPUTS], reason *why, double *remaining)
{
    double total = 0.0;
    for (int n = 0; n < CHANNELS; n++) {
        channel *c = &d->channels[n];
        c->shown = 0;
        if (present[n])
            d->counters[STUCK] += evidence_observe(&baselines[n], c, bin, (double)x[n], d->open != 0, has_error(d, n),
                HAS_LOGIT ? logit_of(said, n) : 0.0, spread_of(said, n), repeated[n]);
        total = total + judge(&baselines[n], c, &why[n]);
    }
    d->counters[SCORED]++;
    d->score = square_root(square_root(total));
    *remaining = d->score;
#if RECOVERS
    if (d->open)
        *remaining = follow(d, why);
#endif
    if (d->score > d->threshold || d->open)
        for (int n = 0; n < CHANNELS; n++) {
            name_strongest(&baselines[n], &d->channels[n], &why[n]);
            if (total > 0.0)
                explain(&baselines[n], &d->channels[n], bin, total, (double)x[n], &why[n]);
        }
    return d->score;
}

/* Learn from a sample: into the baselines, or aside while an alert is open; adopt what was learned aside. */
static void learn(detector *d, int32_t bin, const float *x, const uint8_t *present, int event)
{
    int64_t adopted = d->adopted;
#if RECOVERS
    int recovered = event == CLEARED && adopted == NOTHING;
    double least = recovered ? least_bearing(d) : 0.0;
#endif
    for (int n = 0; n < CHANNELS; n++) {
        channel *c = &d->channels[n];
        if (event == RAISED) {
            c->adopted_count = 0;
            forget_runs(c);
        }
        if (adopted)
            adopt(c);
#if RECOVERS
        if (recovered && has_moved(d, c, least)) {
            adopt(c);
            d->counters[ADOPTED_COUNT] += d->adopted == NOTHING;
            d->adopted = OTHERS;
        }
#endif
        if (!present[n])
            continue;
        if (d->open)
            learn_aside(c, (double)x[n], has_error(d, n));
        else
            evidence_learn(&baselines[n], c, bin, (double)x[n], has_error(d, n));
    }
}

/* Take in a sample; returns whether there is a verdict on it. */
static int take_in(detector *d, int64_t time_ns, const float *x, verdict *v)
{
    uint8_t present[CHANNELS], repeated[CHANNELS];
    float said[NETWORKS][OUTPUTS];
    int scored = 0, admitted;
    d->event = NO_EVENT;
    admitted = admit(d, time_ns, x, present);
    if (admitted == REFUSED)
        return 0;
    for (int n = 0; n < CHANNELS; n++)
        repeated[n] = present[n] && d->channels[n].seen && (double)x[n] == d->channels[n].last_value;
    step_networks(d, x, present, said);
    if (REBUILDS)
        expect(d, present, said);
    if (d->warm_left > 0) {
        warm_up(d, x, present);
    } else if (admitted == ONLY_HELD) {
        d->counters[UNSCORED]++;
    } else {
        int32_t bin = BIN_AT(time_ns);
        double remaining;
        v->score = score_of(d, bin, x, present, repeated, said, v->reasons, &remaining);
        v->threshold = d->threshold;
        d->event = advance(d, v->score, remaining, time_ns);
        learn(d, bin, x, present, (int)d->event);
#if READS_OUT
        if (!d->open)
            readout_learn(d, x, present);
#endif
        scored = 1;
    }
    if (!REBUILDS)
        expect(d, present, said);
#if READS_OUT
    readout_expect(d, time_ns);
#endif
    return scored;
}

