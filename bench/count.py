"""How many instructions a step is: counted, so that no clock and no neighbour can change it.

A program that steps one sample and one that steps eleven, both made by `cross_compile.py`, differ by ten steps. They are counted by the
processor (`perf stat`), by the system, which stops after every instruction (`ptrace`), or by valgrind's callgrind, which knows no AVX-512:
whichever works here first, in that order. Linux on x86-64, with an assembler and a linker.
"""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent)]
import cross_compile  # noqa: E402
import network as networks  # noqa: E402
from peers import loaded_model  # noqa: E402

X86 = "x86_64-unknown-linux-gnu"
_TRACE_ME, _SINGLE_STEP = 0, 9


def by_processor(program: Path) -> int | None:
    if shutil.which("perf") is None:
        return None
    command = ["perf", "stat", "-x", ",", "-e", "instructions:u", str(program)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    found = re.search(r"^(\d+),", done.stderr, re.MULTILINE)
    return int(found[1]) if found and done.returncode == 0 else None


def by_system(program: Path) -> int | None:
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if ptrace(_TRACE_ME, 0, None, None) != 0:
            os._exit(1)
        os.execv(program, [str(program)])
    count = 0
    while True:
        _, status = os.waitpid(child, 0)
        if not os.WIFSTOPPED(status):
            return count if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 else None
        if os.WSTOPSIG(status) != signal.SIGTRAP:  # an instruction that this processor lacks
            os.kill(child, signal.SIGKILL)
        elif ptrace(_SINGLE_STEP, child, None, None) == 0:
            count += 1


def by_valgrind(program: Path) -> int | None:
    if shutil.which("valgrind") is None:
        return None
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(program)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    found = re.search(r"Collected : (\d+)", done.stderr)
    return int(found[1]) if found and done.returncode == 0 else None


def step(hidden: int, processor: str, inputs: int = 4) -> int | None:
    """Return the instructions of a step of the network of `network.py` for an x86 processor; None where nothing counts here."""
    if sys.platform != "linux" or shutil.which("as") is None or shutil.which("ld") is None:
        return None
    program = loaded_model(networks.make(hidden, inputs)).program
    x = networks.signal(inputs, 11)
    with tempfile.TemporaryDirectory() as name:
        try:
            short, long = (
                cross_compile.build(program, samples, X86, processor, Path(name) / str(len(samples))).link("")
                for samples in (x[:1], x)
            )
        except (RuntimeError, subprocess.CalledProcessError):
            return None
        for counted in (by_processor, by_system, by_valgrind):
            counts = [counted(each) for each in (short, long)]
            if None not in counts:
                return round((counts[1] - counts[0]) / 10)
    return None


def main() -> None:
    for processor in sys.argv[1:] or ["haswell"]:
        for hidden in (32, 128):
            print(processor, hidden, step(hidden, processor))


if __name__ == "__main__":
    main()
