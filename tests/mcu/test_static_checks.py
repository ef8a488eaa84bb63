"""Nothing that compilers, analysers and sanitizers know to complain of, in the C of every case of every family."""

import importlib.util
import shutil
import subprocess
import sys

import pytest
from c_families import FIRST_CASES
from layer_cases import INTEGER_CASES

from c_code import COMPILER, WARNINGS, assert_same_bits, build_program, links, run_program

SOURCES = ("model.c", "model_selftest.c", "model_library.c")
UNKNOWN_LOOPS = "-Wno-analyzer-use-of-uninitialized-value"
"""GCC's analyser takes loops for ones that may end early; MemorySanitizer looks for what was never written."""

CASES = [pytest.param(case, marks=[] if case in FIRST_CASES else pytest.mark.slow) for case in INTEGER_CASES]


def clang():
    """Return the command of clang, or of the one that is in zig; skip where there is neither."""
    if shutil.which("clang"):
        return ["clang"]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc"]
    pytest.skip("no clang (apt install clang, or pip install ziglang): its warnings are not looked at")


def found_in(folder, *command):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


@pytest.mark.parametrize("case", CASES)
def test_clang_has_no_warnings(case, family):
    command = [*clang(), *WARNINGS, "-fsyntax-only", *SOURCES]
    assert found_in(family(case).exported.folder, *command) == ""


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("cppcheck"), reason="no cppcheck (apt install cppcheck)")
@pytest.mark.parametrize("case", INTEGER_CASES)
def test_cppcheck_finds_nothing(case, family):
    command = [
        "cppcheck",
        "--enable=warning,portability,performance",
        "--error-exitcode=3",
        "--quiet",
        "--std=c99",
    ]
    command += [
        "--suppress=shiftTooManyBitsSigned"
    ]  # arithmetic shifts are what runtime/fixed_point.c asks for
    assert found_in(family(case).exported.folder, *command, *SOURCES) == ""


@pytest.mark.slow
@pytest.mark.skipif(COMPILER is None, reason="no C compiler: no analyser")
@pytest.mark.parametrize("case", INTEGER_CASES)
def test_the_analyser_of_gcc_finds_nothing(case, family):
    command = [COMPILER, "-fanalyzer", UNKNOWN_LOOPS, *WARNINGS, "-O1", "-c", *SOURCES]
    assert found_in(family(case).exported.folder, *command) == ""


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("clang"), reason="no clang (apt install clang): no MemorySanitizer")
@pytest.mark.parametrize("case", INTEGER_CASES)
def test_nothing_is_read_that_was_not_written(case, family):
    made = family(case)
    sanitized = ["clang", "-fsanitize=memory", "-fno-sanitize-recover=all", "-O1", "-g"]
    if not links(sanitized):
        pytest.skip("this clang has no MemorySanitizer (apt install libclang-rt-dev)")
    y, snapshot = run_program(build_program(made.exported, *sanitized), made.x, made.loaded.outputs)
    assert_same_bits(y, made.y)
    assert snapshot == made.snapshots[1]
