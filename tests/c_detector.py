"""The C of a detector as a shared object of this machine, beside the detector it has to equal."""

import ctypes
import subprocess

import numpy as np

from c_code import COMPILER, WARNINGS, pointer
from edgelstm.kernels.detection import layout as at
from edgelstm.stream import LoadedModel
from edgelstm_converters.c_export import export

NO_VERDICT = -1


def verdict_type(channels):
    """NAME_verdict as a NumPy record."""
    reason = np.dtype(
        [("value", "f8"), ("expected", "f8"), ("band", "f8"), ("share", "f8"), ("strongest", "i4")],
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
        """Return the verdicts over a block: NumPy records, state NO_VERDICT where there is none."""
        found = np.zeros(len(values), self.verdict.dtype)
        for row, (time_ns, x) in enumerate(zip(times_ns, np.ascontiguousarray(values), strict=True)):
            scored = self.push(time_ns, x)
            found[row] = self.verdict[0]
            if scored != 1:
                found[row]["state"] = NO_VERDICT
        return found

    def save(self):
        snapshot = np.zeros(self.exported.detector_snapshot_bytes, np.uint8)
        self.functions.m_detector_save(pointer(self.state), pointer(snapshot))
        return snapshot.tobytes()

    def load(self, snapshot):
        return self.functions.m_detector_load(
            pointer(self.state), pointer(np.frombuffer(snapshot, np.uint8).copy())
        )


def pushed(detector, times_ns, values):
    """Return what a detector of the runtime says of every sample, as the records of `CDetector.run`, reasons included."""
    found = np.zeros(len(values), verdict_type(len(detector.channel_names)))
    for row, (time_ns, x) in enumerate(zip(times_ns, values, strict=True)):
        verdicts = detector.push_block(np.array([time_ns], np.int64), x[None])
        found[row]["score"] = np.nan_to_num(verdicts.scores[0])
        found[row]["threshold"] = np.nan_to_num(verdicts.thresholds[0])
        found[row]["state"] = verdicts.states[0]
        found[row]["event"] = detector._ints[at.EVENT]
        for n, name in enumerate(("value", "expected", "band", "share")):
            found[row]["reasons"][name] = detector._reasons[:, n]
    return found


def assert_same_verdicts(found, expected):
    """Every bit of score, threshold, state and event is equal, and of the reasons where there are any."""
    np.testing.assert_array_equal(found["state"], expected["state"])
    np.testing.assert_array_equal(found["event"], expected["event"])
    scored = expected["state"] != NO_VERDICT
    for name in ("score", "threshold"):
        np.testing.assert_array_equal(
            found[name][scored].view(np.uint64), expected[name][scored].view(np.uint64)
        )
    told = scored & ((expected["state"] == 1) | (expected["event"] != 0))
    for name in ("value", "expected", "band", "share"):
        a, b = found["reasons"][name][told], expected["reasons"][name][told]
        np.testing.assert_array_equal(a.view(np.uint64), b.view(np.uint64), err_msg=name)
