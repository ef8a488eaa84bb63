/* ---- Evidence: all that a channel shows, brought up to a value and learned from it --------------------------- */
static int shows(const baseline *of, const channel *c, int signal)
{
    return c->shown >> signal & 1 && of->weights[signal] > 0.0;
}

/* Bring every signal up to a value; returns 1 where the sensor stuck with it. `same`: it repeats the last one. */
static int evidence_observe(const baseline *of, channel *c, int32_t bin, double x, int frozen, int has_error, double logit, double unsure, int same)
{
    int stuck = 0;
    level_observe(of, c, x, frozen);
    c->shown = 1 << LEVEL;
    if (has_error) {
        error_observe(of, c, x);
        c->shown |= 1 << ERROR | 1 << ERROR_MEAN;
    }
#if SEASON_BINS > 0
    if (of->weights[SEASON] > 0.0) {
        season_observe(of, c, bin, x);
        c->shown |= 1 << SEASON;
    }
#endif
    if (of->weights[NOVELTY] > 0.0) {
        novelty_observe(of, c, x);
        c->shown |= 1 << NOVELTY;
    }
    if (of->weights[REPEAT] > 0.0) {
        stuck = repeat_observe(of, c, same);
        c->shown |= 1 << REPEAT;
    }
    if (HAS_LOGIT && of->weights[LOGIT] > 0.0) {
        logit_observe(c, logit);
        c->shown |= 1 << LOGIT;
    }
#if HEARS_SPREAD
    if (of->weights[SPREAD] > 0.0) {
        uncertainty_observe(of, c, unsure);
        c->shown |= 1 << SPREAD;
    }
#endif
    (void)bin;
    (void)unsure;
    return stuck;
}

/* Move baselines and tails by one value that is taken for normal. */
static void evidence_learn(const baseline *of, channel *c, int32_t bin, double x, int has_error)
{
    level_learn(of, c, x);
    if (has_error)
        error_learn(of, c);
#if SEASON_BINS > 0
    if (of->weights[SEASON] > 0.0)
        season_learn(of, c, bin, x);
#endif
    (void)bin;
    if (of->weights[NOVELTY] > 0.0)
        novelty_learn(c, x);
#if HEARS_SPREAD
    if (c->shown >> SPREAD & 1)
        uncertainty_learn(of, c);
#endif
    for (int n = 0; n < TAILS; n++) {
        int signal = signal_of_tail[n];
        if (shows(of, c, signal))
            tail_learn(c->signals[signal], &c->tails[n], tail_floors[signal][0], tail_floors[signal][1]);
    }
}

/* Leave what went on when an alert was raised out of the tails. */
static void forget_runs(channel *c)
{
    for (int n = 0; n < TAILS; n++)
        forget_run(&c->tails[n]);
}

