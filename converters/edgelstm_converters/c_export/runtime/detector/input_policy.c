/* ---- Input policy: what becomes of a sample that is late, missing values or after a gap ----------------------- */
#define MEAN_OF_SCALED_ERROR 0.8 /* mean of |x| over the standard deviation, for normal errors */

enum { REFUSED, ACCEPTED, ONLY_HELD };

/* Return the networks and the short means to their beginning and warm up again; baselines are kept. */
static void begin_anew(detector *d)
{
    d->counters[RESETS]++;
    d->warm_left = WARM_UP;
    d->has_forecast = 0;
    d->recent = 0;
    d->calm = 0;
    for (int n = 0; n < NETWORKS; n++)
        network_reset(&d->networks[n]);
    for (int n = 0; n < CHANNELS; n++) {
        channel *c = &d->channels[n];
        c->short_count = 0;
        c->repeats = 0;
        c->signals[ERROR_MEAN] = MEAN_OF_SCALED_ERROR;
        c->season_mean = 0.0;
    }
}

static void look_for_gap(detector *d, int64_t elapsed_ns)
{
    if (elapsed_ns >= GAP_RESET_NS) {
        d->counters[GAPS]++;
        begin_anew(d);
    } else if (elapsed_ns > GAP_NS) {
        d->counters[GAPS]++;
        d->has_forecast = 0; /* it was made for a sample that never came */
    } else if (elapsed_ns < EARLY_NS) {
        d->counters[EARLY]++;
    }
}

/* ONLY_HELD where the sample has no value at all but goes on by held ones. present[n]: channel n has a value that counts. */
static int admit(detector *d, int64_t time_ns, const float *x, uint8_t *present)
{
    if (d->has_last && time_ns <= d->last_ns) {
        d->counters[time_ns == d->last_ns ? DUPLICATES : LATE]++;
        return REFUSED;
    }
    d->has_last = 1;
    d->last_ns = time_ns;
    d->counters[SAMPLES]++;
    int missing = 0;
    for (int n = 0; n < CHANNELS; n++) {
        present[n] = (uint8_t)is_finite(x[n]);
        if (present[n] && ((double)x[n] < baselines[n].least_value || (double)x[n] > baselines[n].largest_value)) {
            d->counters[OUT_OF_RANGE]++;
            present[n] = 0;
        }
        missing += !present[n];
    }
    if (missing > 0) {
        d->counters[MISSING_VALUES] += missing;
        if (ON_MISSING != HOLD) {
            d->counters[SKIPPED]++;
            if (ON_MISSING == RESET && d->has_used) {
                begin_anew(d);
                d->has_used = 0;
            }
            return REFUSED;
        }
        d->counters[HELD] += missing;
    }
    if (d->has_used)
        look_for_gap(d, time_ns - d->used_ns);
    d->has_used = 1;
    d->used_ns = time_ns;
    return missing == CHANNELS ? ONLY_HELD : ACCEPTED;
}

