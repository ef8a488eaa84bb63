/* ---- Repeat: how long a sensor shows one value, against the longest time that it did so ---------------------- */

/* Returns whether it stuck now, at twice its longest time. */
static int repeat_observe(const baseline *of, channel *c, int same)
{
    if (!same) {
        c->repeats = 0;
        c->signals[REPEAT] = 0.0;
        return 0;
    }
    c->repeats++;
    double repeats = (double)c->repeats;
    c->signals[REPEAT] = repeats / of->longest_repeat;
    return (double)(c->repeats - 1) < 2.0 * of->longest_repeat && 2.0 * of->longest_repeat <= repeats;
}

