"""Run on an emulated board, by a Python that has no NumPy: steps every library that it is told, by ctypes.

    python board_steps.py SYSTEM CUT FOLDER:INPUTS:OUTPUTS ...

reads samples.bin in each folder, steps over CUT samples, saves, takes the state up again in a new stream, steps over the rest, and
writes its outputs and the two snapshots.
"""

import ctypes
import platform
import sys
from pathlib import Path


def steps(folder, system, inputs, outputs, cut):
    library = ctypes.CDLL(str(folder / f"model-{system}.so"))
    samples = (folder / "samples.bin").read_bytes()
    x = (ctypes.c_float * (len(samples) // 4)).from_buffer_copy(samples)
    count = len(x) // inputs
    y = (ctypes.c_float * (count * outputs))()
    first, then = ((ctypes.c_int32 * (library.edgelstm_state_bytes() // 4 + 1))() for _ in range(2))
    snapshots = [(ctypes.c_uint8 * library.edgelstm_snapshot_bytes())() for _ in range(2)]
    library.edgelstm_reset(first)
    assert library.edgelstm_run(first, 1, cut, x, y) == 0
    library.edgelstm_save(first, snapshots[0])
    assert library.edgelstm_load(then, snapshots[0]) == 0
    rest = ctypes.byref(x, 4 * cut * inputs), ctypes.byref(y, 4 * cut * outputs)
    assert library.edgelstm_run(then, 1, count - cut, *rest) == 0
    library.edgelstm_save(then, snapshots[1])
    (folder / f"results-{system}.bin").write_bytes(bytes(y))
    for number, snapshot in enumerate(snapshots):
        (folder / f"snapshot-{system}-{number}.bin").write_bytes(bytes(snapshot))


if __name__ == "__main__":
    system, cut = sys.argv[1], int(sys.argv[2])
    for job in sys.argv[3:]:
        folder, inputs, outputs = job.rsplit(":", 2)
        steps(Path(folder), system, int(inputs), int(outputs), cut)
    print(platform.machine(), 8 * ctypes.sizeof(ctypes.c_void_p))
