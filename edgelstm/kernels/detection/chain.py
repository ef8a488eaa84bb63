"""The compiled entry of the detector: input policy, network, evidence, score and life cycle over a block of samples."""

import numpy as np

from edgelstm.kernels.compiled import COMPILES, njit
from edgelstm.kernels.detection import adoption, evidence, level, life_cycle, readout, recovery, season
from edgelstm.kernels.detection.error import has_error
from edgelstm.kernels.detection.feed import fill
from edgelstm.kernels.detection.input_policy import ACCEPTED, ONLY_HELD, admit
from edgelstm.kernels.detection.layout import (
    ADOPTED,
    ADOPTED_COUNT,
    ADOPTED_COUNT_OF_CHANNEL,
    APART,
    CHANNEL_CONSTANTS,
    CHANNEL_INTS,
    CHANNEL_WORDS,
    CLEARED,
    EVENT,
    FIRST_CHANNEL_CONSTANT,
    FIRST_CHANNEL_INT,
    FIRST_CHANNEL_WORD,
    FIRST_OUTPUT,
    FORECAST,
    HAS_FORECAST,
    LAST_VALUE,
    LOGIT_OUTPUT,
    NO_EVENT,
    NOTHING,
    OPEN,
    OTHERS,
    PRESENT,
    RAISED,
    READOUT_FEATURES,
    REBUILDS,
    RECOVERY_RATIO,
    SCORE,
    SCORED,
    SEASON_BINS,
    SEASON_NS,
    SEEN,
    SHOWN,
    STATE_ANOMALY,
    STATE_NONE,
    STATE_OK,
    STUCK,
    THRESHOLD,
    UNSCORED,
    WARM_LEFT,
    WARMING,
)
from edgelstm.kernels.detection.score import explain, fourth_root, judge, name_strongest
from edgelstm.kernels.rest import rest_of

if COMPILES:
    from edgelstm.kernels.step import execute_block
else:
    from edgelstm.reference.step import execute_block


@njit
def run(
    context,
    network,
    beginning,
    constants,
    policies,
    floats,
    ints,
    reasons,
    values,
    repeated,
    feed,
    said,
    times_ns,
    samples,
    scores,
    thresholds,
    states,
    row,
):
    """Take in samples from `row` on; return the row after the first that decides an event, or after the last.

    context     of the network, from `bind`
    network     int32   (1 or channels, words)  its states
    beginning   int32   (1 or channels, words)  what they are after a reset
    constants   float64 and policies int64: layout.py
    floats      float64 and ints int64: layout.py; the state, read, then written
    reasons     float64 (channels, 6)       overwritten by every sample above the threshold or in an alert
    values      float32 (channels,)         scratch: the sample, NaN where policy says that a value is missing
    repeated    int8    (channels,)         scratch: whether a value is the same as the last one
    feed        float32 (1, channels) or (channels, 2): feed.py; scratch
    said        float32 (1 or channels, outputs)  scratch: what the network says
    times_ns    int64   (samples,)
    samples     float32 (samples, channels)  not finite where missing
    scores      float64 (samples,)          written; NaN where there is none
    thresholds  float64 (samples,)          written; NaN where there is none
    states      int8    (samples,)          written; STATE_NONE where there is none
    """
    ints[EVENT] = NO_EVENT
    while row < times_ns.shape[0]:
        time_ns = times_ns[row]
        scores[row], thresholds[row], states[row] = np.nan, np.nan, STATE_NONE
        admitted = admit(constants, policies, floats, ints, network, beginning, time_ns, samples[row], values)
        if admitted in (ACCEPTED, ONLY_HELD):
            _compare(floats, ints, values, repeated)
            fill(constants, policies, floats, ints, values, feed)
            execute_block(context, feed, said)
            if policies[REBUILDS] != 0:
                _expect(policies, floats, ints, values, said)
            if ints[WARM_LEFT] > 0:
                _warm_up(constants, floats, ints, values)
            elif admitted == ONLY_HELD:
                ints[UNSCORED] += 1
            else:
                score, remaining = _score(
                    constants, policies, floats, ints, time_ns, samples[row], values, repeated, said, reasons
                )
                scores[row], thresholds[row] = score, floats[THRESHOLD]
                event = life_cycle.advance(constants, policies, floats, ints, score, remaining, time_ns)
                states[row] = STATE_ANOMALY if ints[OPEN] != 0 else STATE_OK
                ints[EVENT] = event
                _learn(constants, policies, floats, ints, time_ns, values, event)
                if policies[READOUT_FEATURES] > 0 and ints[OPEN] == 0:
                    readout.learn(constants, policies, floats, ints, len(network), values)
            if policies[REBUILDS] == 0:
                _expect(policies, floats, ints, values, said)
            if policies[READOUT_FEATURES] > 0:
                readout.expect(constants, policies, floats, ints, network, time_ns)
        row += 1
        if ints[EVENT] != NO_EVENT:
            break
    return row


@njit(inlined=True)
def _compare(floats, ints, values, repeated):
    for c in range(values.shape[0]):
        seen = ints[FIRST_CHANNEL_INT + c * CHANNEL_INTS + SEEN] != 0
        last = floats[FIRST_CHANNEL_WORD + c * CHANNEL_WORDS + LAST_VALUE]
        repeated[c] = seen and np.float64(values[c]) == last


@njit
def _warm_up(constants, floats, ints, values):
    ints[WARM_LEFT] -= 1
    ints[WARMING] += 1
    for c in range(values.shape[0]):
        if np.isfinite(values[c]):
            channel = rest_of(constants, FIRST_CHANNEL_CONSTANT + c * CHANNEL_CONSTANTS)
            state = rest_of(floats, FIRST_CHANNEL_WORD + c * CHANNEL_WORDS)
            own = rest_of(ints, FIRST_CHANNEL_INT + c * CHANNEL_INTS)
            level.observe(constants, channel, state, own, np.float64(values[c]), ints[OPEN] != 0)
            if ints[OPEN] == 0:
                level.learn_mean(constants, channel, state, own, np.float64(values[c]))


@njit(inlined=True)
def _first_bin(policies, floats, channels, c):
    """Return where in `floats`, which ends with the means of all bins, those of channel `c` begin."""
    return floats.shape[0] - (channels - c) * policies[SEASON_BINS]


@njit(inlined=True)
def _bin_at(policies, floats, channels, c, place):
    """Return where in `floats` the mean of a bin is, -1 where there is no season."""
    return _first_bin(policies, floats, channels, c) + place if policies[SEASON_BINS] > 0 else np.int64(-1)


@njit(inlined=True)
def _place(policies, time_ns):
    """Return which bin of the season a time is in, 0 where there is no season."""
    if policies[SEASON_BINS] == 0:
        return np.int64(0)
    return season.bin_of(time_ns, policies[SEASON_NS], policies[SEASON_BINS])


@njit(inlined=True)
def _score(constants, policies, floats, ints, time_ns, given, values, repeated, said, reasons):
    """Return the score, and what is left of it for the alert to stay open."""
    total, stuck = 0.0, 0
    place, logit_at, apart = _place(policies, time_ns), policies[LOGIT_OUTPUT], policies[APART]
    for c in range(values.shape[0]):
        channel = rest_of(constants, FIRST_CHANNEL_CONSTANT + c * CHANNEL_CONSTANTS)
        state = rest_of(floats, FIRST_CHANNEL_WORD + c * CHANNEL_WORDS)
        own = rest_of(ints, FIRST_CHANNEL_INT + c * CHANNEL_INTS)
        own[SHOWN] = 0
        if np.isfinite(values[c]):
            logit = np.float64(said[c * apart, logit_at]) if logit_at >= 0 else 0.0
            spread_at = policies[FIRST_OUTPUT + values.shape[0] + c]
            unsure = np.float64(said[0, spread_at]) if spread_at >= 0 else 0.0
            stuck += evidence.observe(
                constants,
                channel,
                state,
                own,
                floats,
                _bin_at(policies, floats, values.shape[0], c, place),
                np.float64(values[c]),
                ints[OPEN] != 0,
                has_error(policies, ints, c),
                logit_at >= 0,
                logit,
                spread_at >= 0,
                unsure,
                repeated[c] != 0,
            )
        total = total + judge(constants, channel, state, own, reasons[c])
    ints[SCORED] += 1
    ints[STUCK] += stuck
    score = fourth_root(total)
    floats[SCORE], remaining = score, score
    if constants[RECOVERY_RATIO] > 0.0 and ints[OPEN] != 0:
        remaining = recovery.follow(constants, floats, ints, reasons, score)
    if score > floats[THRESHOLD] or ints[OPEN] != 0:
        for c in range(values.shape[0]):
            channel = rest_of(constants, FIRST_CHANNEL_CONSTANT + c * CHANNEL_CONSTANTS)
            state = rest_of(floats, FIRST_CHANNEL_WORD + c * CHANNEL_WORDS)
            own = rest_of(ints, FIRST_CHANNEL_INT + c * CHANNEL_INTS)
            name_strongest(constants, channel, state, own, reasons[c])
            if total > 0.0:
                bin_at = _bin_at(policies, floats, values.shape[0], c, place)
                explain(channel, state, own, floats, bin_at, total, np.float64(given[c]), reasons[c])
    return score, remaining


@njit(inlined=True)
def _learn(constants, policies, floats, ints, time_ns, values, event):
    """Learn from a sample: into the baselines, or aside while an alert is open; adopt what was learned aside."""
    place, adopted = _place(policies, time_ns), ints[ADOPTED]
    recovered = event == CLEARED and adopted == NOTHING and constants[RECOVERY_RATIO] > 0.0
    least = recovery.least_bearing(floats, values.shape[0]) if recovered else 0.0
    for c in range(values.shape[0]):
        channel = rest_of(constants, FIRST_CHANNEL_CONSTANT + c * CHANNEL_CONSTANTS)
        state = rest_of(floats, FIRST_CHANNEL_WORD + c * CHANNEL_WORDS)
        own = rest_of(ints, FIRST_CHANNEL_INT + c * CHANNEL_INTS)
        if event == RAISED:
            own[ADOPTED_COUNT_OF_CHANNEL] = 0
            evidence.forget_runs(state)
        if adopted != NOTHING:
            adoption.adopt(
                state, own, floats, _first_bin(policies, floats, values.shape[0], c), policies[SEASON_BINS]
            )
        elif recovered and recovery.has_moved(floats, values.shape[0], c, least):
            adoption.adopt(
                state, own, floats, _first_bin(policies, floats, values.shape[0], c), policies[SEASON_BINS]
            )
            ints[ADOPTED_COUNT] += int(ints[ADOPTED] == NOTHING)
            ints[ADOPTED] = OTHERS
        if not np.isfinite(values[c]):
            continue
        if ints[OPEN] != 0:
            adoption.learn_aside(constants, state, own, np.float64(values[c]))
        else:
            bin_at = _bin_at(policies, floats, values.shape[0], c, place)
            evidence.learn(constants, channel, state, own, floats, bin_at, np.float64(values[c]))


@njit(inlined=True)
def _expect(policies, floats, ints, values, said):
    """Keep what is expected: the network's forecast of the next sample, or this one as it rebuilds it, or, apart, that
    a channel stays as it is."""
    ints[HAS_FORECAST] = 1
    for c in range(values.shape[0]):
        state = rest_of(floats, FIRST_CHANNEL_WORD + c * CHANNEL_WORDS)
        ints[FIRST_CHANNEL_INT + c * CHANNEL_INTS + PRESENT] = int(np.isfinite(values[c]))
        output = policies[FIRST_OUTPUT + c]
        if policies[APART] != 0:
            state[FORECAST] = state[LAST_VALUE]
        elif output >= 0:
            state[FORECAST] = np.float64(said[0, output])


@njit
def trace(
    context,
    network,
    beginning,
    constants,
    policies,
    floats,
    ints,
    reasons,
    values,
    repeated,
    feed,
    said,
    times_ns,
    samples,
    scores,
    thresholds,
    states,
    words,
    needs,
    out,
):
    """Run over a block and write words of every channel's state after each scored sample; for calibration.

    Arguments as of `run`, and

    words  int64   (words,)                     which words of a channel
    needs  int64   (words,)                     which signal has to be shown for each to be written
    out    float64 (words, samples, channels)   written where the channel showed that signal
    """
    for row in range(times_ns.shape[0]):
        run(
            context,
            network,
            beginning,
            constants,
            policies,
            floats,
            ints,
            reasons,
            values,
            repeated,
            feed,
            said,
            times_ns[row : row + 1],
            samples[row : row + 1],
            scores[row : row + 1],
            thresholds[row : row + 1],
            states[row : row + 1],
            0,
        )
        if np.isnan(scores[row]):
            continue
        for c in range(samples.shape[1]):
            if not np.isfinite(values[c]):
                continue
            first = FIRST_CHANNEL_WORD + c * CHANNEL_WORDS
            shown = ints[FIRST_CHANNEL_INT + c * CHANNEL_INTS + SHOWN]
            for n in range(words.shape[0]):
                if shown >> needs[n] & 1:
                    out[n, row, c] = floats[first + words[n]]
