"""NAME_detector_save and NAME_detector_load: the bytes of `Detector.snapshot`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from edgelstm.detector import DETECTOR_MAGIC
from edgelstm.detector_arrays import initial_ints, words_kept
from edgelstm.detector_settings import DetectorSettings
from edgelstm.kernels.detection import layout as at
from edgelstm.readout import Readout
from edgelstm_converters.c_export import detector_readout
from edgelstm_converters.c_export.lowering import CBuilder
from edgelstm_converters.c_export.numbers import numbers
from edgelstm_converters.c_export.snapshots import (
    CRC_BYTES,
    HEADER_BYTES,
    header_of,
    state_bytes,
    state_functions,
)

_DIGEST_BYTES, _LENGTHS_BYTES = 32, 12


def sealed_bytes(build: CBuilder, settings: DetectorSettings, readout: Readout | None) -> int:
    """Return the length of the snapshot of a detector."""
    return HEADER_BYTES + _body_bytes(build, settings, readout) + CRC_BYTES


def functions(
    digest: str,
    build: CBuilder,
    settings: DetectorSettings,
    name: str,
    signals: Sequence[int],
    count: int,
    readout: Readout | None,
) -> str:
    """Return the functions; `signals` are those that have tails in the state, of the `count` that have words in a snapshot."""
    upper = name.upper()
    floats, ints = _sizes(settings, readout)
    head = header_of(DETECTOR_MAGIC, digest, _body_bytes(build, settings, readout))
    head += hashlib.sha256(msgspec.json.encode(settings)).digest()
    for length in (networks(settings) * state_bytes(build), floats, ints):
        head += length.to_bytes(4, "little")
    tail_of = [signals.index(signal) if signal in signals else -1 for signal in range(count)]
    season = settings.season_ns > 0
    put_recovery = (
        """
    for (int n = 0; n < CHANNELS; n++)
        to = put_bytes(to, (const uint8_t *)&d->channels[n] + offsetof(channel, bearing), RECOVERY_BYTES);"""
        if settings.recovery
        else ""
    )
    get_recovery = (
        """
    for (int n = 0; n < CHANNELS; n++)
        from = get_bytes(from, (uint8_t *)&d->channels[n] + offsetof(channel, bearing), RECOVERY_BYTES);"""
        if settings.recovery
        else ""
    )
    put_season = (
        """
    for (int n = 0; n < CHANNELS; n++)
        to = put_bytes(to, d->channels[n].season, 8 * SEASON_BINS);"""
        if season
        else ""
    )
    get_season = (
        """
    for (int n = 0; n < CHANNELS; n++)
        from = get_bytes(from, d->channels[n].season, 8 * SEASON_BINS);"""
        if season
        else ""
    )
    return f"""/* ---- Snapshots of a detector ---------------------------------------------------------------------------------
 * Its words as they lie in memory, little-endian as on every core that this file is for.
 */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "snapshots of a detector are little-endian"
#endif

{state_functions(build, name)}
#define HEAD_BYTES {len(head)}
#define CONTENT_BYTES ({upper}_DETECTOR_SNAPSHOT_BYTES - {CRC_BYTES})
#define WORDS_BYTES ((int)offsetof(detector, channels) - (int)offsetof(detector, threshold))
#define CHANNEL_WORDS_BYTES ((int)offsetof(channel, tails))
#define TAIL_BYTES ((int)sizeof(tail))
#define RECOVERY_BYTES {8 * at.RECOVERY_WORDS}
#define INTS_BYTES ((int)(offsetof(detector, counters) - offsetof(detector, has_last)) + 8 * {upper}_COUNTERS)
#define CHANNEL_INTS_BYTES ((int)(offsetof(channel, shown) - offsetof(channel, seen)) + 8)

static const int8_t tail_of_signal[{count}] = {{ {", ".join(map(str, tail_of))} }}; /* -1: not used, its words are 0 */

static const uint8_t detector_header[HEAD_BYTES] = {{
{numbers([str(byte) for byte in head])}
}};

void {name}_detector_save(const detector *d, uint8_t *snapshot)
{{
    uint8_t *to = put_bytes(snapshot, detector_header, HEAD_BYTES);
    for (int n = 0; n < NETWORKS; n++)
        to = put_state(to, &d->networks[n]);
    to = put_bytes(to, (const uint8_t *)d + offsetof(detector, threshold), WORDS_BYTES);
    for (int n = 0; n < CHANNELS; n++) {{
        const channel *c = &d->channels[n];
        to = put_bytes(to, c, CHANNEL_WORDS_BYTES);
        for (int signal = 0; signal < {count}; signal++)
            if (tail_of_signal[signal] >= 0)
                to = put_bytes(to, &c->tails[tail_of_signal[signal]], TAIL_BYTES);
            else
                for (int at = 0; at < TAIL_BYTES; at++)
                    to = put(to, 0, 1);
    }}{put_recovery}{detector_readout.saved(readout)}{put_season}
    to = put_bytes(to, (const uint8_t *)d + offsetof(detector, has_last), INTS_BYTES);
    for (int n = 0; n < CHANNELS; n++)
        to = put_bytes(to, (const uint8_t *)&d->channels[n] + offsetof(channel, seen), CHANNEL_INTS_BYTES);
    put(to, crc32(snapshot, CONTENT_BYTES), 4);
}}

int {name}_detector_load(detector *d, const uint8_t *snapshot)
{{
    if ((uint32_t)get(snapshot + CONTENT_BYTES, 4) != crc32(snapshot, CONTENT_BYTES))
        return {upper}_DAMAGED;
    for (int n = 0; n < HEAD_BYTES; n++)
        if (snapshot[n] != detector_header[n])
            return n < 8 ? {upper}_DAMAGED : n < 12 ? {upper}_OTHER_VERSION : n < {HEADER_BYTES} ? {upper}_OTHER_MODEL : {upper}_OTHER_SETTINGS;
    const uint8_t *from = snapshot + HEAD_BYTES;
    for (int n = 0; n < NETWORKS; n++)
        if (!state_in_range(from + n * STATE_BYTES))
            return {upper}_OUT_OF_RANGE;
    for (int n = 0; n < NETWORKS; n++, from += STATE_BYTES)
        get_state(from, &d->networks[n]);
    from = get_bytes(from, (uint8_t *)d + offsetof(detector, threshold), WORDS_BYTES);
    for (int n = 0; n < CHANNELS; n++) {{
        channel *c = &d->channels[n];
        from = get_bytes(from, c, CHANNEL_WORDS_BYTES);
        for (int signal = 0; signal < {count}; signal++)
            if (tail_of_signal[signal] >= 0)
                from = get_bytes(from, &c->tails[tail_of_signal[signal]], TAIL_BYTES);
            else
                from += TAIL_BYTES;
    }}{get_recovery}{detector_readout.loaded(readout)}{get_season}
    from = get_bytes(from, (uint8_t *)d + offsetof(detector, has_last), INTS_BYTES);
    for (int n = 0; n < CHANNELS; n++)
        from = get_bytes(from, (uint8_t *)&d->channels[n] + offsetof(channel, seen), CHANNEL_INTS_BYTES);
    return {upper}_LOADED;
}}
"""


def networks(settings: DetectorSettings) -> int:
    """Return how many states of the network a detector has: one, or one for each channel."""
    return len(settings.channels) if settings.network == "apart" else 1


def _sizes(settings: DetectorSettings, readout: Readout | None) -> tuple[int, int]:
    """Return how many float64 and int64 words the state of the runtime's detector has."""
    return words_kept(settings, readout).size, initial_ints(settings).size


def _body_bytes(build: CBuilder, settings: DetectorSettings, readout: Readout | None) -> int:
    packed = networks(settings) * state_bytes(build)
    return _DIGEST_BYTES + _LENGTHS_BYTES + packed + 8 * sum(_sizes(settings, readout))
