"""`edgelstm warm-up`: compile the kernels now, and say where the machine code is kept."""

from __future__ import annotations

import argparse
import time

SUMMARY = "Compile the kernels ahead, so that the first sample of a later process does not wait."


def configure(parser: argparse.ArgumentParser) -> None:
    del parser  # no options


def run(args: argparse.Namespace) -> int:
    del args
    start = time.perf_counter()
    from edgelstm import detector
    from edgelstm.backend import kernels

    package = kernels()
    detector.warm_up(calibration=True)
    took_s = time.perf_counter() - start
    if not package.compiled.COMPILES:
        print("nothing to compile: the NumPy twin runs here (Numba is switched off or has no build)")
        return 0
    print(f"kernel     {package.variant()}")
    print(f"cache      {package.CACHE.directory or 'none'}")
    if package.not_kept():
        print(f"not kept   {package.not_kept()}")
    print(f"ready      {took_s:.1f} s")
    return 0
