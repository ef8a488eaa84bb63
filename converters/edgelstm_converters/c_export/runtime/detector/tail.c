/* ---- Tails: how unlikely a signal is --------------------------------------------------------------------------
 * Peaks over a threshold, a generalised Pareto tail by moments, exponential memory.
 */
#define LARGEST_SHAPE 0.45
#define SMALLEST_SHAPE 1e-4
#define CAP 8.0
#define LARGEST_EXCESS 10.0
#define LONGEST_RUN 64.0
#define LN_10 2.302585092994046

/* -log10 of the probability of a signal >= 0 this large, at most CAP. Below the tail it is only interpolated. */
static double surprise(double signal, const tail *t)
{
    if (signal == 0.0) /* most of the time a value is no novelty and no repetition: the division is saved */
        return 0.0;
    if (signal <= t->threshold) {
        double ratio = signal / t->threshold;
        return TAIL_SURPRISE * (ratio * ratio);
    }
    double excess = signal - t->threshold, mean = t->mean;
    double square = mean * mean;
    double variance = t->square - square;
    double shape = LARGEST_SHAPE;
    if (variance > 0.0)
        shape = 0.5 * (1.0 - square / variance);
    shape = smaller(larger(shape, 0.0), LARGEST_SHAPE);
    double scaled = excess / (mean * (1.0 - shape)), beyond;
    if (shape < SMALLEST_SHAPE)
        beyond = scaled / LN_10;
    else
        beyond = logarithm(1.0 + shape * scaled) / shape;
    return smaller(TAIL_SURPRISE + beyond, CAP);
}

/* Leave the run that is going on out of the tail. */
static void forget_run(tail *t)
{
    t->peak = 0.0;
    t->run = 0.0;
}

/* Move a tail by one sample. What exceeds the threshold in a row is one run, learned once, by its peak, at its end. */
static void tail_learn(double signal, tail *t, double least_threshold, double least_mean)
{
    double mean = t->mean;
    if (signal > t->threshold) {
        t->peak = larger(t->peak, signal - t->threshold);
        t->run = t->run + 1.0;
        t->threshold = t->threshold + TAIL_RISE * mean;
        if (t->run < LONGEST_RUN)
            return;
    } else {
        t->threshold = larger(t->threshold - TAIL_DRIFT * mean, least_threshold);
        if (t->run == 0.0)
            return;
    }
    double excess = smaller(t->peak, LARGEST_EXCESS * mean);
    t->mean = larger(mean + (excess - mean) * TAIL_GAIN, least_mean);
    t->square = t->square + (excess * excess - t->square) * TAIL_GAIN;
    forget_run(t);
}

