"""The fuzz targets: everything that reads what others wrote, and what may come of it.

A target ends in the one kind of error that it may, or in a result of the right form; anything else is a crash.
"""

import tempfile
from pathlib import Path

import numpy as np
import reader_files
import seeds

import edgelstm
from edgelstm import config
from edgelstm.config import InputConfig
from edgelstm.daemon import control
from edgelstm.errors import ConfigError, ConversionError, ModelFileError, SnapshotError
from edgelstm.sources import codecs
from edgelstm.sources.frames import Frames, encode
from edgelstm_converters import readers
from edgelstm_converters.readers import keras_file

FOLDER = Path(tempfile.mkdtemp())
DETECTOR = edgelstm.load(seeds.MODEL).detector()


def fuzz_config(data):
    path = FOLDER / "gateway.toml"
    path.write_bytes(data)
    try:
        config.load(path, {})
    except ConfigError as exc:
        assert "\n" not in str(exc)


def fuzz_model(data):
    path = FOLDER / "model.elstm"
    path.write_bytes(data)
    try:
        edgelstm.load(path)
    except ModelFileError:
        pass


def fuzz_snapshot(data):
    before = DETECTOR.snapshot()
    try:
        DETECTOR.restore(data)
    except SnapshotError:
        assert DETECTOR.snapshot() == before


def fuzz_request(data):
    answer = control.answer({"ping": lambda request: "pong"}, lambda verb: True, "ping", data)
    assert answer.startswith(b'{"transaction":')


def fuzz_frames(data):
    """However it is cut, what is found was there, and what is kept of an unfinished frame is bounded."""
    for size in (1, 1 + len(data) % 7, len(data) or 1):
        frames = Frames()
        for at in range(0, len(data), size):
            for frame in frames.feed(data[at : at + size]):
                assert encode(frame.sequence, frame.payload) in data
        assert len(frames._rest) < 300
        assert 0 <= frames.damaged <= len(data)


def codec(form):
    """Return the target of a payload format; the first byte chooses one of its topics."""
    entry = InputConfig(name="i", topics=("t",), model="m", format=form, **seeds.OPTIONS.get(form, {}))
    decode = codecs.make(entry, ("flow", "pressure"))

    def fuzz(data):
        topic = seeds.TOPICS[data[0] % len(seeds.TOPICS)] if data else "t"
        try:
            blocks = decode(topic, data[1:], 1_795_532_184 * 10**9)
        except codecs.PayloadError as exc:
            assert 0 < len(str(exc)) < 200
            return
        for block in blocks:
            assert block.values.dtype == np.float32 and block.values.shape[1:] == (2,)

    return fuzz


def reader(suffix):
    """Return the target of the reader of a format: it reads a model, or says in one line why it does not."""
    architecture = FOLDER / "net.toml"
    keras_file.LIMIT_S = 3.0  # of HDF5, which never ends on some files: what a small one needs

    def fuzz(data):
        path = FOLDER / f"m{suffix}"
        path.write_bytes(reader_files.packed(suffix, data))
        asked = {"architecture": architecture} if suffix == ".npz" else {}
        architecture.write_text(reader_files.ARCHITECTURE)
        try:
            readers.read(path, verify=False, **asked)
        except ConversionError as exc:
            assert "\n" not in str(exc)

    return fuzz


TARGETS = {
    "config": fuzz_config,
    "model": fuzz_model,
    "snapshot": fuzz_snapshot,
    "request": fuzz_request,
    "frames": fuzz_frames,
    **{form: codec(form) for form in codecs.CODECS},
    **{suffix: reader(suffix) for suffix in reader_files.MADE},
}
