"""Signatures against RFC 8032, and against an independent library."""

import pytest

from edgelstm.ed25519 import ORDER, verify

RFC_8032_7_1 = [  # public key, message, signature
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("key", "message", "signature"), RFC_8032_7_1)
def test_the_vectors_of_the_specification(key, message, signature):
    key, message, signature = bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature)
    assert verify(key, message, signature)
    assert not verify(key, message + b"x", signature)
    for at in range(0, 64, 7):
        damaged = bytearray(signature)
        damaged[at] ^= 1
        assert not verify(key, message, bytes(damaged))
    assert not verify(key[:31], message, signature)
    larger = int.from_bytes(signature[32:], "little") + ORDER
    assert not verify(
        key, message, signature[:32] + larger.to_bytes(32, "little")
    )  # one signature, one spelling


def test_keys_that_are_no_points():
    for key in (bytes([2]) + bytes(31), b"\xff" * 32, bytes([1]) + bytes(30) + b"\x80"):
        assert not verify(key, b"", bytes(64))


def test_signatures_of_an_independent_library():
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    for number in range(8):
        key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        message = b"m" * number
        assert verify(key.public_key().public_bytes_raw(), message, key.sign(message))
