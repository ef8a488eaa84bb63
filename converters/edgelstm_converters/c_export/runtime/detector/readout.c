/* ---- Readout: hidden values of the network to the next step of every channel, by recursive least squares ------- */
#define HIDDEN_ONE 32768.0
#define HARMONICS 2
#define FIRST_VARIANCE 0.1
#define LARGEST_VARIANCE 10.0 /* of a weight, on average; nothing is forgotten beyond it */
#define LARGEST_LESSON 3.0    /* scales of the error that one sample teaches at most */
#define LARGEST_FEATURE 8.0

static int has_error(const detector *d, int n);

/* What the steps of channel `n` are divided by, for a network that hears channels apart. */
#if APART
static double step_scale(const channel *c, int n)
{
    return larger(DEVIATION_OF_SPREAD * c->step_spread, baselines[n].error_floor);
}
#endif

/* Make the weights as unsure as they are in the beginning. */
static void make_unsure(double *covariance)
{
    for (int i = 0, at = 0; i < FEATURES; at += ++i) {
        for (int j = 0; j < i; j++) {
            covariance[at + j] = 0.0;
            KEEP_LOOP();
        }
        covariance[at + i] = FIRST_VARIANCE;
    }
}

static void readout_begin(detector *d)
{
    for (int n = 0; n < CHANNELS; n++) {
        double *weights = d->readouts[n / HEARD].weights[n % HEARD];
        d->channels[n].step_spread = readouts_begin[n].step_spread;
        for (int i = 0; i < FEATURES; i++) {
            weights[i] = readouts_begin[n].weights[i];
            KEEP_LOOP();
        }
    }
    for (int n = 0; n < NETWORKS; n++)
        make_unsure(d->readouts[n].covariance);
}

#if SEASON_BINS > 0
/* A wave of length 1, a parabola for either half of it. */
static double wave(double turned)
{
    while (turned >= 1.0)
        turned = turned - 1.0;
    return turned < 0.5 ? 16.0 * turned * (0.5 - turned) : -16.0 * (turned - 0.5) * (1.0 - turned);
}
#endif

/* Hidden values, the values of the channels that network `of` hears, 1, waves of the season. */
static void look(const detector *d, int of, int64_t time_ns, double *seen)
{
    const int16_t *hidden = hidden_of(&d->networks[of]);
    for (int i = 0; i < HIDDEN; i++)
        seen[i] = (double)hidden[i] / HIDDEN_ONE;
    for (int n = of * HEARD; n < (of + 1) * HEARD; n++) {
        const channel *c = &d->channels[n];
        double away = c->seen ? (c->last_value - baselines[n].mean) / readouts_begin[n].scale : 0.0;
        seen[HIDDEN + n - of * HEARD] = clip(away, LARGEST_FEATURE);
    }
    seen[HIDDEN + HEARD] = 1.0;
#if SEASON_BINS > 0
    int64_t within = time_ns % SEASON_NS;
    if (within < 0)
        within += SEASON_NS;
    double phase = (double)within / (double)SEASON_NS;
    for (int harmonic = 0; harmonic < HARMONICS; harmonic++) {
        double turned = phase * (double)(harmonic + 1);
        seen[HIDDEN + HEARD + 1 + 2 * harmonic] = wave(turned);
        seen[HIDDEN + HEARD + 2 + 2 * harmonic] = wave(turned + 0.25);
    }
#else
    (void)time_ns;
#endif
}

static double sum_of_products(const double *a, const double *b)
{
    double total = 0.0;
    for (int i = 0; i < FEATURES; i++)
        total = total + a[i] * b[i];
    return total;
}

/* The product of the covariance, of which there is the lower triangle, and the features. */
static void multiply(const double *row, const double *seen, double *gains)
{
    for (int i = 0; i < FEATURES; row += ++i) {
        double total = 0.0;
        for (int j = 0; j < i; j++)
            total = total + row[j] * seen[j];
        for (int j = 0; j < i; j++)
            gains[j] = gains[j] + row[j] * seen[i];
        gains[i] = total + row[i] * seen[i];
    }
}

/* Put what the readout expects of the next sample in the place of the network's forecasts. */
static void readout_expect(detector *d, int64_t time_ns)
{
    for (int of = 0; of < NETWORKS; of++) {
        readout *r = &d->readouts[of];
        look(d, of, time_ns, r->seen);
        multiply(r->covariance, r->seen, r->gains);
        for (int n = of * HEARD; n < (of + 1) * HEARD; n++) {
            channel *c = &d->channels[n];
            if (!IS_FORECAST(n))
                continue;
            double step = sum_of_products(r->weights[n - of * HEARD], r->seen);
            c->forecast = c->last_value + readouts_begin[n].scale * clip(step, LARGEST_FEATURE);
        }
    }
}

/* What was not expected of channel `n`, in its own scale. */
static double lesson_of(channel *c, int n, double x)
{
#if APART
    double step = smaller(c->step, LARGEST_ERROR * step_scale(c, n)) - c->step_spread;
    c->step_spread = c->step_spread + ERROR_GAIN * step;
#endif
    return clip(x - c->forecast, LARGEST_LESSON * error_scale(&baselines[n], c)) / readouts_begin[n].scale;
}

/* Take from the covariance what a sample has said, and widen what is left. */
static void narrow(double *row, const double *gains, double share, double widened)
{
    for (int i = 0; i < FEATURES; row += ++i) {
        double factor = share * gains[i];
        for (int j = 0; j <= i; j++)
            row[j] = (row[j] - factor * gains[j]) * widened;
    }
}

/* Learn from a sample that is taken for normal. */
static void readout_learn(detector *d, const float *x, const uint8_t *present)
{
    for (int of = 0; of < NETWORKS; of++) {
        readout *r = &d->readouts[of];
        double variance = sum_of_products(r->seen, r->gains), trace = 0.0;
        if (!(variance >= 0.0)) { /* what rounding has made of it is no covariance any more */
            make_unsure(r->covariance);
            continue;
        }
        for (int i = 0, at = 0; i < FEATURES; i++, at += i + 1)
            trace = trace + r->covariance[at];
        double kept = trace < LARGEST_VARIANCE * FEATURES ? FORGETTING : 1.0;
        double share = 1.0 / (kept + variance);
        int taught = 0;
        for (int n = of * HEARD; n < (of + 1) * HEARD; n++) {
            if (!present[n] || !has_error(d, n))
                continue;
            double lesson = share * lesson_of(&d->channels[n], n, (double)x[n]);
            double *weights = r->weights[n - of * HEARD];
            for (int i = 0; i < FEATURES; i++)
                weights[i] = weights[i] + r->gains[i] * lesson;
            taught = 1;
        }
        if (taught)
            narrow(r->covariance, r->gains, share, 1.0 / kept);
    }
}

