"""Recordings larger than what a command may hold: what a process takes at most does not grow with the file."""

import subprocess
import sys

import numpy as np
import pytest

from detector_cases import noise, persistence_model
from edgelstm import model_file

pytestmark = pytest.mark.slow

CHANNELS, BLOCK = 8, 5000
SMALL, LARGE = 200_000, 3_000_000
LARGE_MB = 200
"""At least so large is the file; its values alone take 92 MiB as float32, and its times 23."""

MOST_GROWTH_MB = 40
PEAK = (
    "import resource, sys; from edgelstm.cli import main; code = main(sys.argv[1:]); "
    "print('PEAK', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024); sys.exit(code)"
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    names = [f"c{n}" for n in range(CHANNELS)]
    values = np.repeat(noise(3, BLOCK), 3, axis=1)[:, :CHANNELS]
    tails = [",".join(f"{x:.6f}" for x in row) for row in values]
    for name, rows in (("small", SMALL), ("large", LARGE)):
        with (folder / f"{name}.csv").open("w") as file:
            file.write("ts," + ",".join(names) + "\n")
            for start in range(0, rows, BLOCK):
                file.write("".join(f"{1767225600 + start + n},{tail}\n" for n, tail in enumerate(tails)))
    assert (folder / "large.csv").stat().st_size > LARGE_MB * 10**6
    model_file.save(persistence_model(names, [10] * CHANNELS, [1] * CHANNELS), folder / "m.elstm")
    return folder


def peak_mb(*arguments: object) -> int:
    """Run a command in a process of its own; return the most memory it took, in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *map(str, arguments)], capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.rsplit("PEAK", 1)[1])


def test_score_holds_no_more_of_a_large_file(files):
    options = ("--pretrained", "--scores", files / "scores.csv")
    small = peak_mb("score", *options, files / "small.csv")
    assert peak_mb("score", *options, files / "large.csv") < small + MOST_GROWTH_MB
    with (files / "scores.csv").open() as file:
        assert sum(1 for _ in file) == LARGE + 1


def test_calibrate_holds_the_newest_rows_alone(files):
    options = ("-o", files / "d.elstm", "--newest", 20_000)
    small = peak_mb("calibrate", files / "m.elstm", files / "small.csv", *options)
    assert peak_mb("calibrate", files / "m.elstm", files / "large.csv", *options) < small + MOST_GROWTH_MB


@pytest.mark.torch
def test_train_holds_the_newest_rows_alone(files):
    pytest.importorskip("torch", reason="PyTorch is not installed: training is skipped")
    options = ("-o", files / "t.elstm", "--newest", 20_000, "--epochs", 1)
    small = peak_mb("train", files / "small.csv", *options)
    assert peak_mb("train", files / "large.csv", *options) < small + MOST_GROWTH_MB
