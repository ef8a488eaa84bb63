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


PROGRAM = """/* Steps the model over samples.bin, on from resume.bin if it is there; writes results.bin and snapshot.bin. */
#include <stdio.h>
#include "model.h"

static model_state state;
static float x[MODEL_INPUTS], y[MODEL_OUTPUTS];
static uint8_t snapshot[MODEL_SNAPSHOT_BYTES];

int model_selftest(void);

int main(void)
{
    FILE *samples = fopen("samples.bin", "rb"), *resume = fopen("resume.bin", "rb");
    FILE *results = fopen("results.bin", "wb"), *saved = fopen("snapshot.bin", "wb");
    model_reset(&state);
    if (resume && (fread(snapshot, sizeof snapshot, 1, resume) != 1 || model_load(&state, snapshot)))
        return 2;
    while (fread(x, sizeof x, 1, samples) == 1)
        if (model_step(&state, x, y) || fwrite(y, sizeof y, 1, results) != 1)
            return 3;
    model_save(&state, snapshot);
    if (fwrite(snapshot, sizeof snapshot, 1, saved) != 1 || fclose(saved) || fclose(results))
        return 4;
    return model_selftest() ? 5 : 0;
}
"""


def links(command):
    """Return whether a compiler makes a program with these options: not all have every sanitizer."""
    source = "int main(void) { return 0; }"
    command = [*command, "-x", "c", "-", "-o", "/dev/null"]
    return subprocess.run(command, input=source, text=True, capture_output=True, check=False).returncode == 0


def build_program(exported, *compiler):
    """Compile the C of "model" into a program for an operating system; `compiler` is its command, with options."""
    (exported.folder / "main.c").write_text(PROGRAM)
    sources = [str(exported.folder / name) for name in ("model.c", "model_selftest.c", "main.c")]
    program = exported.folder / "program"
    subprocess.run([*compiler, *sources, "-o", str(program)], check=True)
    return program


def run_program(program, x, outputs, resume=b"", emulator=()):
    """Step a program over x, from its beginning or on from a snapshot; return its outputs and its last snapshot."""
    folder = program.parent
    x.astype("<f4").tofile(folder / "samples.bin")
    (folder / "resume.bin").unlink(missing_ok=True)
    if resume:
        (folder / "resume.bin").write_bytes(resume)
    subprocess.run([*emulator, str(program)], cwd=folder, check=True)
    y = np.fromfile(folder / "results.bin", "<f4").reshape(-1, outputs)
    return y, (folder / "snapshot.bin").read_bytes()
