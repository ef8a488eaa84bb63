/* ---- The life of an alert: raised after k of n, updated when it gets worse, cleared with hysteresis or adoption - */
#define NEW_PEAK 1.1 /* a peak speaks again only when it tops the one announced by a tenth */

static void announce(detector *d, int64_t time_ns)
{
    d->announced_ns = time_ns;
    d->announced_severity = d->severity;
    d->announced_peak = d->peak;
}

static void open_alert(detector *d, double score, int64_t time_ns)
{
    d->open = 1;
    d->opened_ns = time_ns;
    d->open_samples = 1;
    d->calm = 0;
    d->severity = score >= d->threshold * CRITICAL_RATIO ? CRITICAL : WARNING;
    d->counters[RAISED_COUNT]++;
    d->peak = score;
    announce(d, time_ns);
}

static void close_alert(detector *d, int64_t time_ns)
{
    d->open = 0;
    d->calm = 0;
    d->recent = 0;
    d->has_cleared = 1;
    d->cleared_ns = time_ns;
    d->counters[CLEARED_COUNT]++;
    d->threshold = smaller(d->threshold + THRESHOLD_STEP, THRESHOLD_HIGH);
}

static int ones(int64_t bits)
{
    int count = 0;
    for (; bits != 0; bits &= bits - 1)
        count++;
    return count;
}

/* Take in one score; returns the event that it decides. `adopted` is set when the alert was open for too long.
 * `remaining` is what is left of the score for an open alert to stay open.
 */
static int advance(detector *d, double score, double remaining, int64_t time_ns)
{
    d->adopted = NOTHING;
    double threshold = d->threshold;
    int above = score > threshold;
    d->recent = (int64_t)((uint64_t)d->recent << 1 | (uint64_t)above) & RAISE_MASK;
    if (!d->open) {
        d->threshold = larger(threshold - THRESHOLD_DECAY, THRESHOLD_LOW);
        if (!above || ones(d->recent) < RAISE_AFTER)
            return NO_EVENT;
        if (d->has_cleared && time_ns - d->cleared_ns < COOLDOWN_NS)
            return NO_EVENT;
        d->threshold = threshold;
        open_alert(d, score, time_ns);
        return RAISED;
    }
    d->open_samples++;
    d->peak = larger(d->peak, score);
    if (score >= threshold * CRITICAL_RATIO)
        d->severity = CRITICAL;
    d->calm = remaining < threshold * CLEAR_RATIO ? d->calm + 1 : 0;
    int timed_out = time_ns - d->opened_ns >= FREEZE_TIMEOUT_NS;
    if (d->calm >= CLEAR_AFTER || timed_out) {
        close_alert(d, time_ns);
        d->adopted = timed_out ? WHOLE : NOTHING;
        d->counters[ADOPTED_COUNT] += timed_out;
        return CLEARED;
    }
    int worse = d->severity > d->announced_severity || d->peak > d->announced_peak * NEW_PEAK;
    if (worse && time_ns - d->announced_ns >= UPDATE_INTERVAL_NS) {
        d->counters[UPDATED_COUNT]++;
        announce(d, time_ns);
        return UPDATED;
    }
    return NO_EVENT;
}

