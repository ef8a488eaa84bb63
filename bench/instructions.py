"""How many instructions a step is, on the processors of ARM boards, counted by an emulator: no clock, no noise.

    python bench/instructions.py [--hidden 16 32 64] [--processors cortex-a53 cortex-a72 cortex-a76] [--json FILE]
    python bench/instructions.py --predict      and the cycles that llvm-mca predicts for them

Needs qemu-aarch64 and binutils for AArch64 (Debian: qemu-user, binutils-aarch64-linux-gnu), and llvm-mca (llvm) to predict.
A program that steps one sample and one that steps eleven differ by ten steps. Predicted cycles are predicted, never measured: warm
caches, no mispredicted branches; what is traced is one step, as a straight line.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE)]
import cross_compile  # noqa: E402
import network as networks  # noqa: E402
from edgelstm import machine  # noqa: E402
from peers import loaded_model  # noqa: E402

TOOLS, EMULATOR = "aarch64-linux-gnu-", "qemu-aarch64"
MODELLED_AS = {"cortex-a53": "cortex-a53", "cortex-a72": "cortex-a57", "cortex-a76": "neoverse-n1"}
"""The scheduling model that llvm-mca has for each processor, or for the one nearest to it."""


def traced(program, x, processor: str, folder: Path) -> list[int]:
    """Return the address of every instruction that stepping the samples `x` executes, in order."""
    target = cross_compile.build(program, x, cross_compile.ARM, processor, folder).link(TOOLS)
    log = folder / "trace"
    command = [EMULATOR, "-cpu", processor, "-singlestep", "-d", "exec,nochain", "-D", str(log), str(target)]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return [
        int(address, 16)
        for address in re.findall(r"^Trace \d+: \S+ \[\w+/(\w+)/", log.read_text(), re.MULTILINE)
    ]


def listing(folder: Path) -> dict[int, str]:
    """Return the linked instructions by address."""
    command = [f"{TOOLS}objdump", "-d", "--no-show-raw-insn", str(folder / "step")]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^\s*([0-9a-f]+):\s+(.*?)(?:\s*(?://|<).*)?$", text, re.MULTILINE)
    return {int(address, 16): instruction for address, instruction in found}


def predicted_cycles(instructions: list[str], processor: str, features: str) -> int:
    """Return what llvm-mca says of a straight line of instructions; jumps go nowhere in it."""
    straight = [re.sub(r"\b(0x)?[0-9a-f]{6,}$", "1f", line) for line in instructions]
    text = "\n".join([*straight, "1:"])
    command = [
        "llvm-mca",
        "-mtriple=aarch64",
        f"-mcpu={processor}",
        f"-mattr={features}",
        "-iterations=1",
        "-",
    ]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    found = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
    if not found:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return int(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--inputs", type=int, default=4)
    parser.add_argument("--processors", nargs="+", default=list(MODELLED_AS), choices=MODELLED_AS)
    parser.add_argument("--predict", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    needed = [
        EMULATOR,
        f"{TOOLS}as",
        f"{TOOLS}ld",
        *([f"{TOOLS}objdump", "llvm-mca"] if args.predict else []),
    ]
    missing = [tool for tool in needed if shutil.which(tool) is None]
    if missing:
        sys.exit(
            f"bench/instructions.py needs {', '.join(missing)} (Debian: binutils-aarch64-linux-gnu qemu-user llvm)"
        )
    header = machine.describe()
    machine.print_header(
        f"instructions of a step, {args.inputs} inputs, LSTM and a dense output, counted by an emulator",
        header,
    )
    report = {}
    for hidden in args.hidden:
        program = loaded_model(networks.make(hidden, args.inputs)).program
        x = networks.signal(args.inputs, 11)
        for processor in args.processors:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                short = traced(program, x[:1], processor, folder / "one")
                long = traced(program, x, processor, folder / "eleven")
                count = round((len(long) - len(short)) / 10)
                found = {"instructions": count}
                if args.predict:
                    lines = listing(folder / "eleven")
                    one_step = [lines[address] for address in long[-count - 20 : -20] if address in lines]
                    model, features = MODELLED_AS[processor], "+dotprod" if processor == "cortex-a76" else ""
                    found[f"predicted cycles ({model})"] = predicted_cycles(one_step, model, features)
            report[f"hidden {hidden}, {processor}"] = found
            figures = "  ".join(f"{name} {value}" for name, value in found.items())
            print(f"  hidden {hidden:4d}  {processor:12s}{figures}", flush=True)
    if args.json:
        args.json.write_text(json.dumps({"machine": header, "found": report}, indent=1) + "\n")


if __name__ == "__main__":
    main()
