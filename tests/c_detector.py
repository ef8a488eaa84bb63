"""The C of a detector as a shared object of this machine, beside the detector it has to equal."""

import ctypes
import subprocess

import numpy as np

from c_code import COMPILER, WARNINGS, pointer
from edgelstm.kernels.detection import layout as at
from edgelstm.stream import LoadedModel
from edgelstm_converters.c_export import export


def verdict_type(channels):
    """NAME_verdict as a NumPy record."""
    reason = np.dtype(
        [
            ("value", "f8"),
            ("expected", "f8"),
            ("band", "f8"),
            ("share", "f8"),
            ("strongest", "i4"),
            ("padding", "i4"),
        ],
        align=True,
    )
    fields = [
        ("score", "f8"),
        ("threshold", "f8"),
        ("state", "i4"),
        ("event", "i4"),
        ("reasons", reason, channels),
    ]
    return np.dtype(fields, align=True)


class CDetector:
    """The functions of an exported detector, and one state."""

    def __init__(self, loaded: LoadedModel, folder, *options, compiler=COMPILER):
        self.exported = export(loaded, folder, "m")
        self.loaded = loaded
        library = folder / "m.so"
        command = [compiler, *WARNINGS, "-O2", "-shared", "-fPIC", *options]
        subprocess.run(
            [*command, str(folder / "m.c"), str(folder / "m_detector.c"), "-o", str(library)], check=True
        )
        self.functions = ctypes.CDLL(str(library))
        self.functions.m_push.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p]
        self.state = np.full(self.exported.detector_bytes // 8 + 1, -1, np.int64)
        self.verdict = np.zeros(1, verdict_type(len(loaded.model.detector_settings.channels)))
        self.functions.m_detector_reset(pointer(self.state))

    def push(self, time_ns, x):
        """Return whether there is a verdict; it is in `verdict`."""
        return self.functions.m_push(
            self.state.ctypes.data, int(time_ns), x.ctypes.data, self.verdict.ctypes.data
        )

    def run(self, times_ns, values):
        """Return what m_push returned for every sample of a block, and the verdicts after it."""
        results, found = np.zeros(len(values), np.int32), np.zeros(len(values), self.verdict.dtype)
        for row, (time_ns, x) in enumerate(zip(times_ns, np.ascontiguousarray(values), strict=True)):
            results[row], found[row] = self.push(time_ns, x), self.verdict[0]
        return results, found

    def save(self):
        snapshot = np.zeros(self.exported.detector_snapshot_bytes, np.uint8)
        self.functions.m_detector_save(pointer(self.state), pointer(snapshot))
        return snapshot.tobytes()

    def load(self, snapshot):
        return self.functions.m_detector_load(
            pointer(self.state), pointer(np.frombuffer(snapshot, np.uint8).copy())
        )


def pushed(detector, times_ns, values, before=None):
    """Return the same of a detector of the runtime, to the last byte; `before`: the verdict to begin with."""
    results, found = (
        np.zeros(len(values), np.int32),
        np.zeros(len(values), verdict_type(len(detector.channel_names))),
    )
    now = np.zeros(1, found.dtype)[0] if before is None else before.copy()
    detector._reasons[:, :4] = now["reasons"][["value", "expected", "band", "share"]].tolist()
    detector._reasons[:, 4] = now["reasons"]["strongest"]
    for row, (time_ns, x) in enumerate(zip(times_ns, values, strict=True)):
        verdicts = detector.push_block(np.array([time_ns], np.int64), x[None])
        if verdicts.states[0] >= 0:
            results[row], now["score"], now["threshold"] = 1, verdicts.scores[0], verdicts.thresholds[0]
        now["state"], now["event"] = detector._ints[at.OPEN], detector._ints[at.EVENT]
        for n, name in enumerate(("value", "expected", "band", "share", "strongest")):
            now["reasons"][name] = detector._reasons[:, n]
        found[row] = now
    return results, found


def assert_same_verdicts(found, expected):
    """Every bit is equal: what was returned, score, threshold, state, event and reasons."""
    np.testing.assert_array_equal(found[0], expected[0])
    for name in ("state", "event", "score", "threshold", "reasons"):
        assert found[1][name].tobytes() == expected[1][name].tobytes(), name
