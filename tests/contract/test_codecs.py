"""Every payload format through the same checks, and each through its own."""

import json
import math
import struct

import msgspec
import numpy as np
import pytest

from edgelstm.config import InputConfig
from edgelstm.sources.codecs import CODECS, PayloadError, make
from edgelstm.sources.codecs.protobuf_wire import field

CHANNELS = ("flow", "pressure")


def metric(name, value, alias=None, time_ms=None):
    parts = [field(1, name.encode())] if name else []
    parts += [field(2, alias)] if alias is not None else []
    parts += [field(3, time_ms)] if time_ms is not None else []
    return b"".join([*parts, field(4, 10), b"\x69" + struct.pack("<d", value)])


def sparkplug(sequence, *metrics, time_ms=1_767_225_600_123):
    return field(1, time_ms) + b"".join(field(2, one) for one in metrics) + field(3, sequence)


VALID = {
    "json": b'[{"ts":1,"flow":9,"pressure":9},{"ts":2,"flow":1.5,"pressure":2}]',
    "msgpack": msgspec.msgpack.encode({"ts": 1.5, "flow": 1.5, "pressure": 2}),
    "raw": struct.pack("<4f", 9, 9, 1.5, 2),
    "scalar": b" 1.5 ",
    "csv": b"ts,pressure,other,flow\n1767225600,2,x,1.5\n",
    "influx": b'm,host=a\\ b,x=y flow=1.5,on=t,text="a, b=c",pressure=2i 1767225600123456789',
    "senml": b'[{"bn":"dev:1/","bt":1.7e9,"n":"flow","v":1.5},{"n":"pressure","u":"Pa","v":2},{"n":"x","vs":"y"}]',
    "sparkplug": sparkplug(0, metric("flow", 1.5, 1), metric("pressure", 2.0, 2)),
    "device": struct.pack(
        "<2fBBHIddd6f", 1.5, 2, 1 | 2 | 16, 0, 1, 3, 6.5, 5.0, 7.0, 1, 0.5, 0.25, 1, 0.5, 0.75
    ),
}
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


NEEDED = {
    "scalar": {"channel": "{0}"},
    "influx": {"timestamp_format": "unix_ns"},
}
OWN_TIME = ("influx", "senml", "sparkplug")
NOW_NS = 1_795_532_184 * 10**9


def entry(**options):
    needed = NEEDED.get(options.get("format"), {})
    return InputConfig(**{"name": "i", "topics": ("t",), "model": "m", **needed, **options})


def decoder(model_channels=CHANNELS, **options):
    decode = make(entry(**options), model_channels)
    return lambda payload, topic="t": decode(topic, payload, NOW_NS)


def check(decode, payload, topic="t"):
    """Whatever is received ends in blocks of the right form, or in one short reason."""
    try:
        blocks = decode(payload, topic)
    except PayloadError as exc:
        assert 0 < len(str(exc)) < 200
        return
    for found in blocks:
        assert found.values.dtype == np.float32 and found.values.ndim == 2
        assert found.values.shape[1] == 2 and len(found.values) >= 1
        assert not np.isinf(found.values).any() or found.values.size > 2
        assert found.time_ns is None or 0 <= found.time_ns < 2**63
        assert len(found.key) <= 200


def timestamps(form):
    return (
        ("arrival",)
        if form in ("raw", "scalar", "device")
        else ("arrival", "own" if form in OWN_TIME else "ts")
    )


EVERY = [(form, timestamp) for form in CODECS for timestamp in timestamps(form)]
TOPICS = ["t", "flow", "spBv1.0/g/NBIRTH/n", "spBv1.0/g/DDATA/n/d", "spBv1.0/g/NDATA/n"]


@pytest.mark.parametrize(("form", "timestamp"), EVERY)
def test_hostile_payloads_end_in_one_kind_of_error(form, timestamp):
    decode = decoder(format=form, timestamp=timestamp)
    for payload in HOSTILE:
        for topic in TOPICS:
            check(decode, payload, topic)


@pytest.mark.parametrize(("form", "timestamp"), EVERY)
def test_whatever_bytes_come(form, timestamp):
    """Valid payloads of every format, damaged at random places, and joined with each other's halves."""
    decode, rng = decoder(format=form, timestamp=timestamp), np.random.default_rng(3)
    seeds = [*VALID.values(), *HOSTILE[:8]]
    for _ in range(600):
        one, other = (bytearray(seeds[n]) for n in rng.integers(len(seeds), size=2))
        mixed = one[: rng.integers(len(one) + 1)] + other[rng.integers(len(other) + 1) :]
        for _ in range(rng.integers(4)):
            if mixed:
                mixed[rng.integers(len(mixed))] = rng.integers(256)
        check(decode, bytes(mixed), TOPICS[rng.integers(len(TOPICS))])


@pytest.mark.parametrize("form", CODECS)
def test_a_valid_payload_of_every_format_is_a_sample(form):
    topic = {"scalar": "flow", "sparkplug": "spBv1.0/g/NBIRTH/n"}.get(form, "t")
    decode = decoder(format=form)
    blocks = decode(VALID[form], topic)
    if form == "scalar":  # the row is complete when time has moved on
        assert blocks == []
        return
    assert blocks[-1].values.tolist()[-1] == [1.5, 2.0]


def test_flat_json_with_a_time_and_a_sequence():
    (found,) = decoder(timestamp="ts", sequence="seq")(
        b'{"seq":7,"x":{"y":[1]},"ts":1795532184.569,"flow":1.5,"pressure":2}'
    )
    assert found.values.tolist() == [[1.5, 2.0]]
    assert (found.time_ns, found.sequence) == (1_795_532_184_569_000_000, 7)


def test_a_missing_channel_is_missing_not_zero():
    (found,) = decoder()(b'{"pressure":null,"other":1}')
    assert np.isnan(found.values).all()
    assert found.time_ns is None


def test_dotted_paths():
    decode = decoder(("flow",), channels=("data.f",), timestamp="meta.time", timestamp_format="rfc3339")
    (found,) = decode(b'{"meta":{"time":"2026-01-01T00:00:00.25Z"},"data":{"f":3}}')
    assert found.values.tolist() == [[3.0]]
    assert found.time_ns == 1_767_225_600_250_000_000
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
    (found,) = decoder(timestamp="ts", timestamp_format=form)(f'{{"ts":{text},"flow":1}}'.encode())
    assert found.time_ns == time_ns


@pytest.mark.parametrize("text", ['"soon"', "true", "null", "-5", "1e30", "[1]"])
@pytest.mark.parametrize("form", ["unix_s", "unix_ms", "unix_ns", "rfc3339"])
def test_times_that_are_none(form, text):
    with pytest.raises(PayloadError):
        decoder(timestamp="ts", timestamp_format=form)(f'{{"ts":{text},"flow":1}}'.encode())


@pytest.mark.parametrize("value", ['"1"', "true", "[1]", "{}", "1e39", "1" + "0" * 400])
@pytest.mark.parametrize("nested", [False, True])
def test_values_that_are_no_float32(value, nested):
    decode = decoder(channels=("a.b", "c") if nested else ("a", "c"))
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
    decode = decoder(("x",))
    for value in values.tolist():
        for payload in (json.dumps({"x": value}).encode(), msgspec.json.encode({"x": value})):
            assert decode(payload)[0].values[0, 0] == np.float32(value)


def test_raw_batches():
    rows = np.arange(6, dtype="<f4").reshape(3, 2)
    (found,) = decoder(format="raw")(rows.tobytes())
    assert found.values.tolist() == rows.tolist()
    with pytest.raises(PayloadError, match="7 bytes are no whole number of 2 float32"):
        decoder(format="raw")(bytes(7))
    (found,) = decoder(format="raw")(np.array([math.nan, 1], "<f4").tobytes())
    assert np.isnan(found.values[0, 0])


def test_a_message_pack_object_reads_as_its_json_would():
    payload = {
        "ts": 1_767_225_600.25,
        "seq": 7,
        "id": "north",
        "flow": 1.5,
        "pressure": None,
        "other": [1, {}],
    }
    options = {"timestamp": "ts", "sequence": "seq", "key": "id"}
    (packed,) = decoder(format="msgpack", **options)(msgspec.msgpack.encode(payload))
    (text,) = decoder(format="json", **options)(msgspec.json.encode(payload))
    np.testing.assert_array_equal(packed.values, text.values)
    assert (packed.time_ns, packed.sequence, packed.key) == (text.time_ns, text.sequence, text.key)
    assert (text.time_ns, text.sequence, text.key) == (1_767_225_600_250_000_000, 7, "north")
    with pytest.raises(PayloadError, match="beyond float32"):
        decoder(format="msgpack")(msgspec.msgpack.encode({"flow": math.nan}))


@pytest.mark.parametrize("key", [None, True, 1.5, [], {}])
def test_keys_that_tell_nothing_apart(key):
    for path in ("id", "meta.id"):
        with pytest.raises(PayloadError):
            decoder(key=path)(json.dumps({"flow": 1, "id": key, "meta": {"id": key}}).encode())


def test_scalars_are_joined_on_the_period_and_hold_for_the_tolerance():
    decode = make(entry(format="scalar", topics=("p/+/+",), stream="{1}", channel="{2}"), CHANNELS, 10**9)
    s = 10**9
    assert decode("p/a/flow", b"1", 100 * s + 1) == []
    assert decode("p/a/pressure", b"5", 100 * s + s // 2) == decode("p/b/flow", b"9", 101 * s) == []
    (first,) = decode("p/a/flow", b"2", 101 * s + s // 4)  # the row of 101 s: both are fresh
    assert (first.values.tolist(), first.time_ns) == ([[1.0, 5.0]], 101 * s)
    rows = decode("p/a/flow", b"3", 104 * s + 1)
    assert [row.time_ns // s for row in rows] == [102, 103]  # at 104 s nothing was fresh
    np.testing.assert_array_equal(np.concatenate([row.values for row in rows]), [[2, 5], [2, math.nan]])
    assert decode("p/a/flow", b"4", 104 * s + 2) == []
    for topic, payload in (
        ("p/a/colour", b"1"),
        ("p/a/flow", b"ON"),
        ("p/a/flow", b"nan"),
        ("p/a/flow", b"1e99"),
    ):
        with pytest.raises(PayloadError):
            decode(topic, payload, 105 * s)


def test_csv_with_and_without_a_header():
    plain = decoder(format="csv", timestamp="ts", sequence="n")
    (found,) = plain(b"1767225600.5,7,1.5,")
    assert (found.time_ns, found.sequence) == (1_767_225_600_500_000_000, 7)
    np.testing.assert_array_equal(found.values, [[1.5, math.nan]])
    assert plain(b"pressure,ts,n,flow") == []
    (found,) = plain(b"2,1767225601,8,1.5")
    assert found.values.tolist() == [[1.5, 2.0]] and found.sequence == 8
    for line in (b"1,2,3", b"2,1767225601,x,1.5", b"2,soon,8,1.5", b"a,b,c,d"):
        with pytest.raises(PayloadError):
            plain(line)


def test_influx_lines_tags_and_escapes():
    decode = decoder(format="influx", timestamp="own", key="host,unit", channels=("flow rate", "pressure"))
    lines = [
        r"pump,host=gw\ 1,unit=7 flow\ rate=1.5,pressure=2u 1767225600123456789",
        "# a comment",
        "cpu,host=x usage=3 1767225600123456789",
        'pump,host=h flow\\ rate=3,note="a \\" b, c" 1767225600123456790',
    ]
    first, second = decode("\n".join(lines).encode())
    assert (first.values.tolist(), first.time_ns, first.key) == (
        [[1.5, 2.0]],
        1_767_225_600_123_456_789,
        "gw\\ 1_7",
    )
    np.testing.assert_array_equal(second.values, [[3.0, math.nan]])
    for line in (
        b"m",
        b"m f",
        b"m flow\\ rate=x 1",
        b'm pressure="7" 1',
        b"m pressure=1",
        b"m pressure=1 soon",
        b"a b c d",
    ):
        with pytest.raises(PayloadError):
            decode(line)


def test_senml_base_fields_and_times():
    """The rules of RFC 8428, 4.5: base fields hold until they change, and small times are relative."""
    decode = decoder(format="senml", timestamp="own", key="bn", channels=("urn:a:flow", "pressure"))
    pack = [
        {"bn": "urn:a:", "bt": 1_767_225_600.5, "n": "flow", "v": 1},
        {"n": "pressure", "v": 2},
        {"n": "pressure", "v": 3, "t": 1},
        {"bn": "urn:b:", "bt": 0, "bv": 10, "n": "pressure", "v": 1, "t": -5},
        {"n": "door", "vb": True},
    ]
    first, second, third = decode(json.dumps(pack).encode())
    assert (first.values.tolist(), first.time_ns, first.key) == (
        [[1.0, 2.0]],
        1_767_225_600_500_000_000,
        "urn:a:",
    )
    assert second.time_ns == first.time_ns + 10**9 and math.isnan(second.values[0, 0])
    assert third.values[0, 1] == 11.0 and third.time_ns == NOW_NS - 5 * 10**9 and third.key == "urn:b:"
    with pytest.raises(PayloadError, match="SenML version 11"):
        decode(b'[{"bver":11,"n":"pressure","v":1}]')
    with pytest.raises(PayloadError, match="none of this age"):
        decode(b'[{"n":"pressure","v":1,"t":1e12}]')


def test_sparkplug_births_aliases_and_what_has_not_changed():
    decode = decoder(format="sparkplug", timestamp="own")
    birth, data = "spBv1.0/g/DBIRTH/n/d", "spBv1.0/g/DDATA/n/d"
    decode(sparkplug(7), "spBv1.0/g/NBIRTH/n")
    (found,) = decode(sparkplug(8, metric("flow", 1.5, 4), metric("pressure", 2.0, 5)), birth)
    assert found.values.tolist() == [[1.5, 2.0]] and found.time_ns == 1_767_225_600_123_000_000
    (found,) = decode(sparkplug(9, metric("", 7.0, 5, time_ms=1_767_225_601_000)), data)
    assert found.values.tolist() == [[1.5, 7.0]] and found.time_ns == 1_767_225_601_000_000_000
    assert decode(sparkplug(10, metric("other", 1.0)), data) == []
    (found,) = decode(sparkplug(11, field(2, 4) + field(7, 1)), data)  # null
    assert math.isnan(found.values[0, 0]) and found.values[0, 1] == 7.0
    with pytest.raises(PayloadError, match="an alias that no birth has named"):
        decode(sparkplug(12, metric("", 1.0, 99)), data)


def test_a_gap_in_a_sparkplug_sequence_asks_for_a_rebirth_once():
    decode = decoder(format="sparkplug")
    birth, data = "spBv1.0/g/NBIRTH/n", "spBv1.0/g/NDATA/n"
    with pytest.raises(PayloadError, match="data before a birth") as raised:
        decode(sparkplug(3, metric("flow", 1.0)), data)
    topic, payload = raised.value.reply
    assert topic == "spBv1.0/g/NCMD/n" and b"Node Control/Rebirth" in payload
    decode(sparkplug(255, metric("flow", 1.0), metric("pressure", 1.0)), birth)
    decode(sparkplug(0, metric("flow", 2.0)), data)  # 255, 0: no gap
    with pytest.raises(PayloadError, match="sequence 2 after 0: a message was lost") as raised:
        decode(sparkplug(2, metric("flow", 2.0)), data)
    assert raised.value.reply is None  # it was asked a moment ago
    with pytest.raises(PayloadError, match="data before a birth"):
        decode(sparkplug(3, metric("flow", 2.0)), data)
    assert decode(sparkplug(0, metric("flow", 1.0), metric("pressure", 4.0)), birth)[0].values[0, 1] == 4.0
    assert decode(b"", "spBv1.0/g/NDEATH/n") == []


@pytest.mark.parametrize(
    ("datatype", "tag", "value", "number"),
    [
        (1, 10, 2**32 - 5, -5),
        (1, 10, 251, -5),
        (3, 10, 2**32 - 5, -5),
        (4, 11, 2**64 - 5, -5),
        (8, 11, 2**63, 2**63),
        (11, 14, 1, 1),
    ],
)
def test_sparkplug_whole_numbers(datatype, tag, value, number):
    payload = sparkplug(0, field(1, b"flow") + field(4, datatype) + field(tag, value))
    assert decoder(("flow",), format="sparkplug")(payload, "spBv1.0/g/NBIRTH/n")[0].values.tolist() == [
        [number]
    ]


def test_sparkplug_agrees_with_the_protobuf_library():
    """Payloads encoded by Google's own library, from the field numbers of the specification."""
    descriptor_pb2 = pytest.importorskip("google.protobuf.descriptor_pb2")
    from google.protobuf import descriptor_pool, message_factory

    numbers = {"Metric": [("name", 1, 9), ("alias", 2, 4), ("timestamp", 3, 4), ("datatype", 4, 13), ("is_null", 7, 8),
                          ("int_value", 10, 13), ("float_value", 12, 2), ("double_value", 13, 1)],
               "Payload": [("timestamp", 1, 4), ("seq", 3, 4)]}  # fmt: skip
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_test.proto", package="sp", syntax="proto2")
    for name, members in numbers.items():
        message = file.message_type.add(name=name)
        for field_name, number, kind in members:
            message.field.add(name=field_name, number=number, type=kind, label=1)
    file.message_type[1].field.add(name="metrics", number=2, type=11, type_name=".sp.Metric", label=3)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    Payload = message_factory.GetMessageClass(pool.FindMessageTypeByName("sp.Payload"))
    payload = Payload(timestamp=1_767_225_600_123, seq=0)
    payload.metrics.add(name="flow", alias=2**40, datatype=9, float_value=1.5)
    payload.metrics.add(name="pressure", alias=1, datatype=3, int_value=2**32 - 7)
    (found,) = decoder(format="sparkplug", timestamp="own")(payload.SerializeToString(), "spBv1.0/g/NBIRTH/n")
    assert found.values.tolist() == [[1.5, -7.0]] and found.time_ns == 1_767_225_600_123_000_000


@pytest.mark.parametrize("channels", [(), ("a.flow", "a.pressure")])
@pytest.mark.parametrize("payload", [b'{"ts":1,"Flow":2}', b"{}", b'[{"flow":1},{"a":{"Pressure":1}}]'])
def test_an_object_with_none_of_the_channels_is_no_sample(channels, payload):
    """Else a daemon that is told the wrong keys would call every machine well."""
    with pytest.raises(PayloadError, match=r"holds none of the channels (a\.)?flow, (a\.)?pressure"):
        decoder(format="json", channels=channels)(payload)


def test_a_channel_that_is_null_is_there_and_missing():
    (found,) = decoder(format="json")(b'{"flow":null,"pressure":null}')
    assert np.isnan(found.values).all()
