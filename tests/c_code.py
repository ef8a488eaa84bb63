"""Exported C as a shared object of this machine, beside the stream it has to equal."""

import ctypes
import shutil
import subprocess

import numpy as np

from edgelstm_converters.c_export import export

WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-pedantic", "-Werror", "-std=c99")
COMPILER = shutil.which("gcc") or shutil.which("cc")


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


class CModel:
    """The functions of an exported model, and one state."""

    def __init__(self, loaded, folder, *options):
        self.exported = export(loaded, folder, "model")
        self.loaded = loaded
        library = folder / "model.so"
        sources = [str(folder / "model.c"), str(folder / "model_selftest.c")]
        command = [COMPILER, *WARNINGS, "-O2", "-shared", "-fPIC", *options, *sources, "-o", str(library)]
        subprocess.run(command, check=True)
        self.functions = ctypes.CDLL(str(library))
        self.state = np.full(self.exported.state_bytes // 4 + 4, -1, np.int32)
        self.functions.model_reset(pointer(self.state))

    def step(self, x):
        y = np.empty(self.loaded.outputs, np.float32)
        assert self.functions.model_step(pointer(self.state), pointer(x), pointer(y)) == 0
        return y

    def run(self, x):
        return np.array([self.step(row) for row in np.ascontiguousarray(x)])

    def save(self):
        snapshot = np.zeros(self.exported.snapshot_bytes, np.uint8)
        self.functions.model_save(pointer(self.state), pointer(snapshot))
        return snapshot.tobytes()

    def load(self, snapshot):
        return self.functions.model_load(
            pointer(self.state), pointer(np.frombuffer(snapshot, np.uint8).copy())
        )


def assert_same_bits(found, expected):
    np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))
