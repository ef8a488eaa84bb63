"""The compiled entry of the detector: input policy, network, evidence, score and life cycle over a block of samples."""

import numpy as np

from edgelstm.kernels.compiled import COMPILES, njit
from edgelstm.kernels.detection import evidence, life_cycle
from edgelstm.kernels.detection.input_policy import ACCEPTED, ONLY_HELD, admit, channel_count, fill
from edgelstm.kernels.detection.layout import (
    ABSOLUTE_ERROR,
    ADOPTED,
    ADOPTED_COUNT_OF_CHANNEL,
    CHANNEL_CONSTANTS,
    CHANNEL_INTS,
    CHANNEL_WORDS,
    EVENT,
    FIRST_CHANNEL_CONSTANT,
    FIRST_CHANNEL_INT,
    FIRST_CHANNEL_WORD,
    FIRST_OUTPUT,
    FORECAST,
    HAS_FORECAST,
    LEVEL,
    NO_EVENT,
    OPEN,
    PRESENT,
    RAISED,
    SCALED_ERROR,
    SCORE,
    SCORED,
    SHARE,
    STATE_ANOMALY,
    STATE_NONE,
    STATE_OK,
    THRESHOLD,
    UNSCORED,
    VALUE,
    VARIANCE,
    WARM_LEFT,
    WARMING,
)
from edgelstm.kernels.detection.score import fourth_root, judge

if COMPILES:
    from edgelstm.kernels.step import execute_sample
else:
    from edgelstm.reference.step import execute_sample


@njit
def run(
    context,
    network,
    constants,
    policies,
    floats,
    ints,
    reasons,
    feed,
    forecast,
    times_ns,
    values,
    scores,
    thresholds,
    states,
    row,
):
    """Take in samples from `row` on; return the row after the first that decides an event, or after the last.

    context     of the network, from `bind`
    network     int32   (1, words)          state of the network, zeroed by a reset
    constants   float64 and policies int64: layout.py
    floats      float64 and ints int64: layout.py; the state, read, then written
    reasons     float64 (channels, 4)       overwritten by every scored sample
    feed        float32 (channels,)         scratch
    forecast    float32 (outputs,)          scratch
    times_ns    int64   (samples,)
    values      float32 (samples, channels)  not finite where missing
    scores      float64 (samples,)          written; NaN where there is none
    thresholds  float64 (samples,)          written; NaN where there is none
    states      int8    (samples,)          written; STATE_NONE where there is none
    """
    ints[EVENT] = NO_EVENT
    while row < times_ns.shape[0]:
        time_ns = times_ns[row]
        scores[row], thresholds[row], states[row] = np.nan, np.nan, STATE_NONE
        admitted = admit(policies, floats, ints, network, time_ns, values[row])
        if admitted in (ACCEPTED, ONLY_HELD):
            fill(constants, floats, ints, values[row], feed)
            if ints[WARM_LEFT] > 0:
                _warm_up(constants, floats, ints, values[row])
            elif admitted == ONLY_HELD:
                ints[UNSCORED] += 1
            else:
                score = _score(constants, policies, floats, ints, values[row], reasons)
                scores[row], thresholds[row] = score, floats[THRESHOLD]
                event = life_cycle.advance(constants, policies, floats, ints, score, time_ns)
                states[row] = STATE_ANOMALY if ints[OPEN] != 0 else STATE_OK
                ints[EVENT] = event
                _learn(constants, policies, floats, ints, values[row], event)
            _remember(floats, ints, policies, values[row])
            execute_sample(context, feed, forecast)
            _expect(policies, floats, ints, forecast)
        row += 1
        if ints[EVENT] != NO_EVENT:
            break
    return row


@njit
def _has_error(policies, ints, c):
    """Return whether the forecast of channel `c` counts: there is one, and it was made from a value of its own."""
    at = FIRST_CHANNEL_INT + c * CHANNEL_INTS
    return policies[FIRST_OUTPUT + c] >= 0 and ints[HAS_FORECAST] != 0 and ints[at + PRESENT] != 0


@njit
def _warm_up(constants, floats, ints, values):
    ints[WARM_LEFT] -= 1
    ints[WARMING] += 1
    for c in range(values.shape[0]):
        if np.isfinite(values[c]):
            channel = constants[FIRST_CHANNEL_CONSTANT + c * CHANNEL_CONSTANTS :]
            state = floats[FIRST_CHANNEL_WORD + c * CHANNEL_WORDS :]
            own = ints[FIRST_CHANNEL_INT + c * CHANNEL_INTS :]
            evidence.observe_level(constants, channel, state, own, np.float64(values[c]), ints[OPEN] != 0)
            if ints[OPEN] == 0:
                evidence.learn_mean(constants, channel, state, own, np.float64(values[c]))


@njit
def _score(constants, policies, floats, ints, values, reasons):
    total = 0.0
    for c in range(values.shape[0]):
        channel = constants[FIRST_CHANNEL_CONSTANT + c * CHANNEL_CONSTANTS :]
        state = floats[FIRST_CHANNEL_WORD + c * CHANNEL_WORDS :]
        has_error = _has_error(policies, ints, c)
        present = np.isfinite(values[c])
        x = np.float64(values[c])
        if present:
            own = ints[FIRST_CHANNEL_INT + c * CHANNEL_INTS :]
            evidence.observe_level(constants, channel, state, own, x, ints[OPEN] != 0)
            if has_error:
                evidence.observe_error(constants, channel, state, x)
        part = judge(constants, channel, state, has_error, reasons[c])
        reasons[c, VALUE] = x
        if present:
            total = total + part
        else:
            reasons[c, SHARE] = 0.0
    for c in range(values.shape[0]):
        reasons[c, SHARE] = reasons[c, SHARE] / total if total > 0.0 else 1.0 / values.shape[0]
    ints[SCORED] += 1
    floats[SCORE] = fourth_root(total)
    return floats[SCORE]


@njit
def _learn(constants, policies, floats, ints, values, event):
    """Learn from a sample: into the baselines, or aside while an alert is open; adopt what was learned aside."""
    for c in range(values.shape[0]):
        channel = constants[FIRST_CHANNEL_CONSTANT + c * CHANNEL_CONSTANTS :]
        state = floats[FIRST_CHANNEL_WORD + c * CHANNEL_WORDS :]
        own = ints[FIRST_CHANNEL_INT + c * CHANNEL_INTS :]
        if event == RAISED:
            own[ADOPTED_COUNT_OF_CHANNEL] = 0
            evidence.forget_runs(state)
        if ints[ADOPTED] != 0:
            evidence.adopt(state, own)
        if not np.isfinite(values[c]):
            continue
        has_error = _has_error(policies, ints, c)
        if ints[OPEN] != 0:
            evidence.learn_aside(constants, state, own, np.float64(values[c]), has_error)
        else:
            evidence.learn(constants, channel, state, own, np.float64(values[c]), has_error)


@njit
def _remember(floats, ints, policies, values):
    for c in range(values.shape[0]):
        ints[FIRST_CHANNEL_INT + c * CHANNEL_INTS + PRESENT] = int(np.isfinite(values[c]))


@njit
def _expect(policies, floats, ints, forecast):
    ints[HAS_FORECAST] = 1
    for c in range(channel_count(floats)):
        output = policies[FIRST_OUTPUT + c]
        if output >= 0:
            floats[FIRST_CHANNEL_WORD + c * CHANNEL_WORDS + FORECAST] = np.float64(forecast[output])


@njit
def trace(
    context,
    network,
    constants,
    policies,
    floats,
    ints,
    reasons,
    feed,
    forecast,
    times_ns,
    values,
    scores,
    thresholds,
    states,
    words,
    out,
):
    """Run over a block and write words of every channel's state after each scored sample; for calibration.

    Arguments as of `run`, and

    words  int64   (words,)                     which words of a channel
    out    float64 (words, samples, channels)   written where the channel had a value and, for errors, a forecast
    """
    for row in range(times_ns.shape[0]):
        for c in range(values.shape[1]):
            first = FIRST_CHANNEL_WORD + c * CHANNEL_WORDS
            floats[first + ABSOLUTE_ERROR], floats[first + SCALED_ERROR] = np.nan, np.nan
        run(
            context,
            network,
            constants,
            policies,
            floats,
            ints,
            reasons,
            feed,
            forecast,
            times_ns[row : row + 1],
            values[row : row + 1],
            scores[row : row + 1],
            thresholds[row : row + 1],
            states[row : row + 1],
            0,
        )
        if np.isnan(scores[row]):
            continue
        for c in range(values.shape[1]):
            if not np.isfinite(values[row, c]):
                continue
            first = FIRST_CHANNEL_WORD + c * CHANNEL_WORDS
            judged = not np.isnan(floats[first + SCALED_ERROR])
            for n in range(words.shape[0]):
                if judged or words[n] == LEVEL or words[n] == VARIANCE:
                    out[n, row, c] = floats[first + words[n]]
