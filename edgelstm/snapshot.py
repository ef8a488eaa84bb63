"""The sealed bytes of a state: whose it is, how long, and a checksum; the same on every machine and in C.

offset  bytes
0       8      magic
8       2      format version, little-endian like all that follows
10      2      arithmetic version
12      32     SHA-256 digest of the model
44      4      length of the body
48      n      the body
48 + n  4      CRC-32 of everything before it
"""

import struct
import zlib

from edgelstm.errors import SnapshotError
from edgelstm.model_file import ARITHMETIC_VERSION

STREAM_MAGIC = b"ELSTMSTR"
FORMAT_VERSION = 1
_HEADER = struct.Struct("<8sHH32sI")
_CRC = struct.Struct("<I")


def seal(magic: bytes, model_digest: str, body: bytes) -> bytes:
    """Return `body` behind a header that names its model, with a checksum at the end."""
    header = _HEADER.pack(magic, FORMAT_VERSION, ARITHMETIC_VERSION, bytes.fromhex(model_digest), len(body))
    content = header + body
    return content + _CRC.pack(zlib.crc32(content))


def unseal(magic: bytes, model_digest: str, snapshot: bytes, body_bytes: int | None = None) -> bytes:
    """Return the body of a snapshot that `seal` made for the same magic and model.

    Raises SnapshotError where it is damaged, of another kind, version, model or length.
    """
    if len(snapshot) < _HEADER.size + _CRC.size or snapshot[:8] != magic:
        raise SnapshotError(
            f"no snapshot of this kind: {len(snapshot)} bytes that begin {bytes(snapshot[:8])!r}"
        )
    if _CRC.unpack(snapshot[-_CRC.size :])[0] != zlib.crc32(snapshot[: -_CRC.size]):
        raise SnapshotError("the snapshot is damaged: its checksum does not match")
    _, format_version, arithmetic, digest, length = _HEADER.unpack_from(snapshot)
    if (format_version, arithmetic) != (FORMAT_VERSION, ARITHMETIC_VERSION):
        raise SnapshotError(
            f"the snapshot has format {format_version} and arithmetic {arithmetic}, "
            f"expected {FORMAT_VERSION} and {ARITHMETIC_VERSION}"
        )
    if digest.hex() != model_digest:
        raise SnapshotError(
            f"the snapshot belongs to model {digest.hex()[:12]}, this model is {model_digest[:12]}"
        )
    body = snapshot[_HEADER.size : -_CRC.size]
    if len(body) != length or body_bytes not in (None, length):
        expected = length if body_bytes is None else body_bytes
        raise SnapshotError(f"the snapshot holds {len(body)} bytes of state, expected {expected}")
    return body
