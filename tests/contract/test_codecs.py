"""Every payload format through the same checks, and each through its own."""

import json
import math

import msgspec
import numpy as np
import pytest

from edgelstm.config import InputConfig
from edgelstm.sources.codecs import CODECS, PayloadError, make

CHANNELS = ("flow", "pressure")
HOSTILE = [
    b"",
    b"\x00",
    b"{",
    b"null",
    b"[]",
    b'"x"',
    b"\xff\xfe\xfd",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"1e999",
    b"NaN",
]


def entry(**options):
    return InputConfig(name="i", topics=("t",), model="m", **options)


def decoder(channels=CHANNELS, **options):
    return make(entry(**options), channels)


@pytest.mark.parametrize("form", CODECS)
@pytest.mark.parametrize("timestamp", ["arrival", "ts"])
def test_hostile_payloads_end_in_one_kind_of_error(form, timestamp):
    decode = decoder(format=form, timestamp=timestamp)
    for payload in HOSTILE:
        try:
            readings = decode(payload)
        except PayloadError as exc:
            assert 0 < len(str(exc)) < 200
            assert "\n" not in str(exc)
        else:
            assert all(r.values.dtype == np.float32 and r.values.shape == (2,) for r in readings)


def test_flat_json_with_a_time_and_a_sequence():
    (reading,) = decoder(timestamp="ts", sequence="seq")(
        b'{"seq":7,"x":{"y":[1]},"ts":1795532184.569,"flow":1.5,"pressure":2}'
    )
    assert reading.values.tolist() == [1.5, 2.0]
    assert (reading.time_ns, reading.sequence) == (1_795_532_184_569_000_000, 7)


def test_a_missing_channel_is_missing_not_zero():
    (reading,) = decoder()(b'{"pressure":null,"other":1}')
    assert np.isnan(reading.values).all()
    assert reading.time_ns is None


def test_dotted_paths():
    decode = make(entry(channels=("data.f",), timestamp="meta.time", timestamp_format="rfc3339"), ("flow",))
    (reading,) = decode(b'{"meta":{"time":"2026-01-01T00:00:00.25Z"},"data":{"f":3}}')
    assert reading.values.tolist() == [3.0]
    assert reading.time_ns == 1_767_225_600_250_000_000
    with pytest.raises(PayloadError, match="None is no rfc3339 time"):
        decode(b'{"data":{"f":3}}')


@pytest.mark.parametrize(
    ("form", "text", "time_ns"),
    [
        ("unix_s", "1767225600", 1_767_225_600 * 10**9),
        ("unix_s", "1767225600.123456", 1_767_225_600_123_456_000),
        ("unix_ms", "1767225600123", 1_767_225_600_123_000_000),
        ("unix_ns", "1767225600123456789", 1_767_225_600_123_456_789),
        ("rfc3339", '"2026-01-01T01:00:00+01:00"', 1_767_225_600 * 10**9),
    ],
)
def test_times(form, text, time_ns):
    (reading,) = decoder(timestamp="ts", timestamp_format=form)(f'{{"ts":{text},"flow":1}}'.encode())
    assert reading.time_ns == time_ns


@pytest.mark.parametrize("text", ['"soon"', "true", "null", "-5", "1e30", "[1]"])
@pytest.mark.parametrize("form", ["unix_s", "unix_ms", "unix_ns", "rfc3339"])
def test_times_that_are_none(form, text):
    with pytest.raises(PayloadError):
        decoder(timestamp="ts", timestamp_format=form)(f'{{"ts":{text},"flow":1}}'.encode())


@pytest.mark.parametrize("value", ['"1"', "true", "[1]", "{}", "1e39", "1" + "0" * 400])
@pytest.mark.parametrize("nested", [False, True])
def test_values_that_are_no_float32(value, nested):
    decode = make(entry(channels=("a.b", "c") if nested else ("a", "c")), CHANNELS)
    payload = f'{{"a":{{"b":{value}}}}}' if nested else f'{{"a":{value}}}'
    with pytest.raises(PayloadError):
        decode(payload.encode())


@pytest.mark.parametrize(
    "text", ["-1", "9223372036854775808", "1" + "0" * 400, "1.5", "true", '"7"', "[]", "{}"]
)
@pytest.mark.parametrize("path", ["seq", "meta.seq"])
def test_sequences_that_are_none(path, text):
    payload = f'{{"flow":1,"meta":{{"seq":{text}}}}}' if "." in path else f'{{"flow":1,"seq":{text}}}'
    with pytest.raises(PayloadError) as raised:
        decoder(sequence=path)(payload.encode())
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize("path", ["seq", "meta.seq"])
def test_sequences(path):
    number = 2**63 - 1
    payload = f'{{"flow":1,"seq":{number},"meta":{{"seq":{number}}}}}'
    assert decoder(sequence=path)(payload.encode())[0].sequence == number
    assert decoder(sequence=path)(b'{"flow":1}')[0].sequence is None


def test_a_float32_written_as_json_reads_back_as_the_same_bits():
    rng = np.random.default_rng(0)
    values = np.frombuffer(rng.bytes(4000), np.float32)
    values = values[np.isfinite(values)]
    decode = decoder(channels=("x",))
    for value in values.tolist():
        for payload in (json.dumps({"x": value}).encode(), msgspec.json.encode({"x": value})):
            assert decode(payload)[0].values[0] == np.float32(value)


def test_raw_batches_count_back_from_the_newest():
    rows = np.arange(6, dtype="<f4").reshape(3, 2)
    readings = decoder(format="raw")(rows.tobytes())
    assert [r.values.tolist() for r in readings] == rows.tolist()
    assert [r.samples_before_last for r in readings] == [2, 1, 0]
    with pytest.raises(PayloadError, match="7 bytes are no whole number of 2 float32"):
        decoder(format="raw")(bytes(7))
    (reading,) = decoder(format="raw")(np.array([math.nan, 1], "<f4").tobytes())
    assert np.isnan(reading.values[0])
