"""What each fuzz target begins with: something valid, for it to change."""

import json
import struct
from importlib.resources import files

import msgspec
import reader_files

import edgelstm
from edgelstm.sources import frames
from edgelstm.sources.codecs.protobuf_wire import field

MODEL = files("edgelstm") / "models" / "pump.elstm"
TOPICS = (
    "t",
    "flow",
    "spBv1.0/g/NBIRTH/n",
    "spBv1.0/g/NDATA/n",
    "spBv1.0/g/DBIRTH/n/d",
    "spBv1.0/g/DDATA/n/d",
)
OPTIONS = {
    "json": {"timestamp": "a.ts", "sequence": "seq", "key": "id"},
    "msgpack": {"timestamp": "ts", "sequence": "seq", "key": "id"},
    "csv": {"timestamp": "ts", "sequence": "seq", "timestamp_format": "rfc3339"},
    "scalar": {"channel": "{0}"},
    "influx": {"timestamp": "own", "timestamp_format": "unix_ns", "key": "host"},
    "senml": {"timestamp": "own", "key": "bn"},
    "sparkplug": {"timestamp": "own"},
}
_FLAT = {"ts": 1767225600.5, "seq": 7, "id": "n", "flow": 1.5, "pressure": 2}


def _metric(name, value, alias):
    return field(1, name) + field(2, alias) + field(4, 10) + b"\x69" + struct.pack("<d", value)


def of(target):
    """Return the seeds of a target."""
    if target == "config":
        return [(files("edgelstm") / "gateway.toml").read_bytes()]
    if target == "model":
        return [MODEL.read_bytes()]
    if target == "snapshot":
        return [edgelstm.load(MODEL).detector().snapshot()]
    if target.startswith("."):
        return reader_files.seeds(target)
    if target == "request":
        return [b'{"transaction": 1}', b"{}"]
    if target == "frames":
        frame = frames.encode(1, struct.pack("<2f", 1, 2))
        return [
            frame,
            frame + b"\xa5" + frames.encode(2, b"") + frames.encode(2, b"\xa5\x5a"),
            frame[:9] + frame,
        ]
    return [bytes([topic]) + payload for topic in range(len(TOPICS)) for payload in PAYLOADS[target]]


PAYLOADS = {
    "json": [
        json.dumps({"a": {"ts": 1767225600.5}, **_FLAT}).encode(),
        b'[{"a":{"ts":1},"id":1}]',
        b'[{"a":{"ts":-1e308},"flow":null,"pressure":1e-400,"id":"\\u00e9"},{"flow":"1"}]',
        b'{"a":{"ts":"1"},"flow":true,"seq":-9223372036854775809}',
        b'{"flow":[1,2],"pressure":[3,[4]],"a":[],"":{"flow":1}}',
        b"[" * 200 + b"]" * 200,
    ],
    "msgpack": [
        msgspec.msgpack.encode(_FLAT),
        msgspec.msgpack.encode([{**_FLAT, "flow": None}, {"ts": -1, "pressure": 1e300, "id": 1 << 63}]),
        msgspec.msgpack.encode({"flow": b"1", "ts": [1], "seq": True}),
        b"\xc7\x0c\xff" + bytes(12),  # a time of MessagePack's own
    ],
    "raw": [struct.pack("<4f", 1, 2, 3, 4)],
    "scalar": [b"1.5"],
    "csv": [b"pressure,ts,seq,flow\n1,2026-01-01T00:00:00Z,7,2\n", b"2026-01-01T00:00:00Z,7,1,2"],
    "influx": [b'pump,host=a\\ b flow=1.5,pressure=2i,text="x, y" 1767225600123456789\n# c\n'],
    "senml": [b'[{"bn":"d:","bt":1.7e9,"bv":1,"n":"flow","v":1.5},{"n":"pressure","vb":true,"t":-1}]'],
    "sparkplug": [field(1, 1_767_225_600_123) + field(2, _metric(b"flow", 1.5, 4)) + field(3, 0)],
    "device": [
        struct.pack("<2fBBHIddd6f", 1, 2, 19, 0, 1, 3, 6.5, 5, 7, *range(6)),
        struct.pack("<2fBBHIddd", 1, 2, 1, *[0] * 6),
    ],
}
