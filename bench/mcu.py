"""What one recurrent layer with 4 inputs takes on microcontroller cores: instructions of a step, flash, RAM, stack.

    python bench/mcu.py [--kinds lstm,gru] [--cores cortex-m4,cortex-m55] [--hidden 16,32,64]

The layer's outputs leave as float32, as in any exported model. Executed instructions in an emulator: they are not cycles.
Beside those of an LSTM stand the figures of CMSIS-NN's int8 LSTM (arm_lstm_unidirectional_s8, commit 99f736a6, GCC 12.2 -Ofast) for the
layer alone, counted in the same emulators; it computes another arithmetic (TensorFlow Lite's) for any shape.
"""

import argparse
import itertools
import tempfile

import numpy as np

from edgelstm.layers import Gru, Lstm, RowProduct
from edgelstm.model import Channel, Model, Output
from edgelstm.stream import LoadedModel
from edgelstm_converters.c_export import export
from edgelstm_firmware_sim.mcu.measure import measure
from edgelstm_firmware_sim.mcu.targets import TARGETS

CMSIS_NN = {
    "cortex-m0": {16: 31_726, 32: 72_248, 64: 187_866},
    "cortex-m3": {16: 13_976, 32: 32_527, 64: 87_163},
    "cortex-m4": {16: 12_905, 32: 27_988, 64: 69_719},
    "cortex-m7": {16: 12_934, 32: 28_020, 64: 69_751},
    "cortex-m33": {16: 12_791, 32: 27_781, 64: 69_281},
    "cortex-m55": {16: 6_531, 32: 12_246, 64: 26_546},
}


def product(rng, rows, columns):
    weights = rng.integers(-127, 128, (rows, columns)).astype(np.int8)
    multipliers = np.full((1, rows), 2**31 // (40 * 18_900) * 65_536 // columns, np.int32)
    return RowProduct(weights, multipliers, np.zeros((1, rows), np.int32), np.zeros(rows, np.int32))


GATES = {"lstm": (Lstm, 4), "gru": (Gru, 3)}


def layer(kind, hidden, inputs=4):
    rng = np.random.default_rng(hidden)
    family, gates = GATES[kind]
    return LoadedModel(
        Model(
            channels=tuple(Channel(name=f"x{n}", gain=4096.0) for n in range(inputs)),
            outputs=tuple(Output(name=f"y{n}", scale=2.0**-15) for n in range(hidden)),
            layers=(
                family(kind, product(rng, gates * hidden, inputs), product(rng, gates * hidden, hidden)),
            ),
            name=kind,
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", default="lstm,gru")
    parser.add_argument("--cores", default=",".join(CMSIS_NN))
    parser.add_argument("--hidden", default="16,32,64")
    parser.add_argument("--optimize", default="-O2")
    args = parser.parse_args()
    print(f"{'kind':5s}{'core':12s}{'hidden':>7s}{'compiler':>10s}{'instructions':>14s}{'CMSIS-NN':>10s}{'ratio':>7s}"
          f"{'flash':>9s}{'state':>7s}{'scratch':>9s}{'stack':>7s}")  # fmt: skip
    for kind, core, hidden in itertools.product(
        *(each.split(",") for each in (args.kinds, args.cores, args.hidden))
    ):
        loaded = layer(kind, int(hidden))
        x = np.random.default_rng(0).normal(0, 2, (20, 4)).astype(np.float32)
        with tempfile.TemporaryDirectory() as folder:
            exported = export(loaded, folder)
            found = measure(exported.folder, TARGETS[core], x, loaded.stream().run(x), optimize=args.optimize)
        assert found.same_bits
        peer = CMSIS_NN.get(core, {}).get(int(hidden)) if kind == "lstm" else None
        shown = f"{peer:>10,}{peer / found.instructions:>7.1f}" if peer else f"{'-':>10s}{'-':>7s}"
        print(f"{kind:5s}{core:12s}{hidden:>7s}{found.compiler:>10s}{found.instructions:>14,}{shown}{found.flash:>9,}"
              f"{exported.state_bytes:>7,}{exported.scratch_bytes:>9,}{found.stack:>7,}")  # fmt: skip


if __name__ == "__main__":
    main()
