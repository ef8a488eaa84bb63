"""The compiled entry for many detectors of the same sizes: each takes in samples of its own, as `chain.run` has it."""

from edgelstm.kernels.compiled import COMPILES, njit
from edgelstm.kernels.detection import chain
from edgelstm.kernels.detection.layout import REASON_WORDS

if COMPILES:
    from edgelstm.kernels.shaped import (
        double_matrix_at,
        double_vector_at,
        flag_vector_at,
        float_matrix_at,
        float_vector_at,
        int_matrix_at,
        long_vector_at,
    )

ADDRESSES = 12
SIZES = 9


@njit
def run_many(detectors, sizes, first, reached, times_ns, samples, scores, thresholds, states):
    """Take in the samples of each detector, up to the first that decides an event.

    detectors  int64 (detectors, 12)   of each its context, then the addresses of the arrays of `chain.run`, in order
    sizes      int64 (9,)              networks, their words, constants, policies, floats, ints, channels, inputs, outputs
    first      int64 (detectors + 1,)  where the samples of each begin
    reached    int64 (detectors,)      written: the row after the last that was taken in

    The others as of `chain.run`, the samples of all detectors one after the other.
    """
    networks, words, channels = sizes[0], sizes[1], sizes[6]
    for n in range(detectors.shape[0]):
        own, begin, end = detectors[n], first[n], first[n + 1]
        reached[n] = begin + chain.run(
            own[0],
            int_matrix_at(own[1], networks, words),
            int_matrix_at(own[2], networks, words),
            double_vector_at(own[3], sizes[2]),
            long_vector_at(own[4], sizes[3]),
            double_vector_at(own[5], sizes[4]),
            long_vector_at(own[6], sizes[5]),
            double_matrix_at(own[7], channels, REASON_WORDS),
            float_vector_at(own[8], channels),
            flag_vector_at(own[9], channels),
            float_matrix_at(own[10], networks, sizes[7]),
            float_matrix_at(own[11], networks, sizes[8]),
            times_ns[begin:end],
            samples[begin:end],
            scores[begin:end],
            thresholds[begin:end],
            states[begin:end],
            0,
        )
