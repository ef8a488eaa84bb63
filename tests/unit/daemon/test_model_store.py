"""Versions of a model: installed after checks, activated on probation, rolled back by hand or by failing."""

import dataclasses

import msgspec
import pytest

from detector_cases import plain_model, settings_for
from edgelstm import model_file
from edgelstm.config import ModelConfig
from edgelstm.daemon.model_store import MOST_STARTS, ModelStore, verified
from edgelstm.errors import ModelFileError, UsageError
from edgelstm.stream import load

PLAIN = dataclasses.replace(plain_model().model, detector_settings=settings_for(("c0", "c1", "c2")))


@pytest.fixture
def file(tmp_path):
    """A function from a model's name to its file."""

    def write(name, model=PLAIN):
        path = tmp_path / f"{name}.elstm"
        model_file.save(dataclasses.replace(model, name=name), path)
        return path

    return write


@pytest.fixture
def store(tmp_path, file):
    return ModelStore(tmp_path / "state", ModelConfig(name="pump", path=str(file("configured"))))


def active_name(store):
    notes = []
    return store.load_active(notes).model.name, notes


def test_a_version_is_installed_activated_confirmed_and_rolled_back(store, file):
    assert active_name(store) == ("configured", [])
    version = store.install(file("newer"))
    assert (store.versions(), active_name(store)) == ([version], ("configured", []))
    store.activate(version)
    assert active_name(store) == ("newer", []) and not store.active.confirmed
    store.confirm()
    assert store.active.confirmed
    with pytest.raises(UsageError, match="is active already"):
        store.activate(version)
    assert store.active.last_rollback is None
    assert store.rollback() == ""
    assert active_name(store) == ("configured", [])
    last = store.active.last_rollback
    assert (last.version, last.reason) == (version, "by request")
    with pytest.raises(UsageError, match="nothing to go back to"):
        store.rollback()


def test_a_version_that_ends_the_daemon_is_rolled_back(store, file):
    store.activate(store.install(file("bad")))
    for _ in range(MOST_STARTS):
        assert active_name(store) == ("bad", [])
    name, notes = active_name(store)
    assert name == "configured" and "ended the daemon 3 times" in notes[0]
    assert store.active.last_rollback.reason == "failed on probation"
    assert active_name(store) == ("configured", [])


def test_what_was_taken_back_last_stays_known_while_others_are_tried(store, file):
    bad, good = store.install(file("bad")), store.install(file("good"))
    store.propose(bad)
    store.withdraw("a score is not finite")
    store.propose(good)
    store.activate(good)
    store.confirm()
    last = store.active.last_rollback
    assert (last.version, last.reason) == (bad, "a score is not finite") and last.ts.endswith("Z")


def test_a_version_that_cannot_be_loaded_is_rolled_back(store, file):
    version = store.install(file("newer"))
    store.activate(version)
    store.path(version).write_bytes(b"damaged")
    name, notes = active_name(store)
    assert name == "configured" and len(notes) == 1


def test_what_is_not_installed(store, file, tmp_path):
    channels = tuple(msgspec.structs.replace(c, name=f"x{c.name}") for c in PLAIN.channels)
    other = dataclasses.replace(PLAIN, channels=channels)
    for path in (
        tmp_path / "absent.elstm",
        file("other", dataclasses.replace(other, detector_settings=None)),
    ):
        with pytest.raises(ModelFileError):
            store.install(path)
    with pytest.raises(ModelFileError, match="carries no detector"):
        store.install(file("none", dataclasses.replace(PLAIN, detector_settings=None)))
    with pytest.raises(UsageError, match=r'has no version "\.\./\.\./x" installed; installed: none'):
        store.activate("../../x")
    assert store.versions() == []


def test_a_signature_is_asked_for_and_held_against_the_key(file, tmp_path):
    key, path = tmp_path / "key", file("signed")
    key.write_text("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\n")
    with pytest.raises(ModelFileError, match=r"signed\.elstm\.sig: cannot be read"):
        verified(path, key)
    path.with_name("signed.elstm.sig").write_bytes(bytes(64))
    with pytest.raises(ModelFileError, match=r"is no signature of signed\.elstm"):
        verified(path, key)
    key.write_text("soon")
    with pytest.raises(ModelFileError, match="expected 32 bytes"):
        verified(path, key)
    assert verified(path).digest == load(path).digest


def test_a_signature_that_is_right(file, tmp_path):
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    import hashlib

    private, path = ed25519.Ed25519PrivateKey.generate(), file("signed")
    (tmp_path / "key").write_bytes(private.public_key().public_bytes_raw())
    signature = private.sign(hashlib.sha256(path.read_bytes()).digest())
    path.with_name("signed.elstm.sig").write_text(signature.hex())
    assert verified(path, tmp_path / "key").model.name == "signed"
    file("signed", dataclasses.replace(PLAIN, detector_settings=None))  # another file under the same name
    with pytest.raises(ModelFileError, match="is no signature"):
        verified(path, tmp_path / "key")
