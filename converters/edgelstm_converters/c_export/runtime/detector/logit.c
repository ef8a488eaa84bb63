/* ---- Logit: what the network says of a fault, moved so that a calm network is at 0 --------------------------- */
#define CALM_LOGIT (-4.0)

static void logit_observe(channel *c, double logit)
{
    c->signals[LOGIT] = larger(logit - CALM_LOGIT, 0.0);
}

