"""`edgelstm convert` at a terminal: it asks how the state is run where nothing says it, and takes no nonsense."""

import os
import select
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import save_file

import edgelstm

pytest.importorskip("termios", reason="terminals of POSIX")
import pty

CTRL_C, CTRL_D = "\x03", "\x04"
LIMIT_S = 120
CHILD = """
import fcntl, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored below a shell that runs us in the background
from edgelstm.cli import main
sys.exit(main(sys.argv[1:]))
"""
MODE, SAMPLES = "stateful or windowed? [stateful] ", "how many samples has a window, as in training? "


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(5)

    def array(*shape):
        return rng.normal(0, 0.4, shape).astype(np.float32)

    weights = {
        "rnn.weight_ih_l0": array(16, 2), "rnn.weight_hh_l0": array(16, 4), "rnn.bias_ih_l0": array(16),
        "rnn.bias_hh_l0": array(16), "head.weight": array(2, 4), "head.bias": array(2),
    }  # fmt: skip
    save_file(weights, tmp_path / "net.safetensors")
    save_file({"head.weight": array(2, 2), "head.bias": array(2)}, tmp_path / "dense.safetensors")
    rows = "\n".join(f"{t},{a},{b}" for t, (a, b) in enumerate(rng.normal(0, 1, (60, 2))))
    (tmp_path / "x.csv").write_text(f"time,flow,level\n{rows}\n")
    return tmp_path


def at_a_terminal(folder, *dialogue, options=(), source="net.safetensors"):
    """Run the command with a terminal of its own as stdin and stderr; return its code, stdout, and what the terminal showed.

    dialogue  pairs of a question and what is typed once it stands there
    """
    master, terminal = pty.openpty()
    command = ["convert", source, "--calibrate", "x.csv", "-o", "net.elstm", "--no-verify", *options]
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, *command],
        cwd=folder, stdin=terminal, stdout=subprocess.PIPE, stderr=terminal, start_new_session=True,
    )  # fmt: skip
    shown, read, typed, last = "", 0, list(dialogue), time.monotonic() + LIMIT_S
    while time.monotonic() < last:
        ended = child.poll() is not None
        while select.select([master], [], [], 0.05)[0]:
            shown += os.read(master, 4096).decode().replace("\r\n", "\n")
        if ended:
            break
        if typed and typed[0][0] in shown[read:]:
            read = len(shown)
            os.write(master, typed.pop(0)[1].encode())
    else:
        child.kill()
    out = child.communicate()[0].decode()
    os.close(terminal)
    os.close(master)
    assert typed == []
    return child.returncode, out, shown


def kinds(folder):
    return [layer.kind for layer in edgelstm.load(folder / "net.elstm").model.layers]


@pytest.mark.parametrize("answer", ["", "stateful", "s"])
def test_a_carried_state_is_what_enter_answers(folder, answer):
    code, out, shown = at_a_terminal(folder, (MODE, f"{answer}\n"))
    assert code == 0
    assert kinds(folder) == ["lstm", "dense"]
    assert "runs stateful (as answered): its state goes on from sample to sample\n" in out
    for words in (
        "stateful  goes on from sample to sample: 1 step an output",
        "windowed  begins anew over the last N samples for each output: N steps an output",
        "No output is late in either",
    ):
        assert words in shown


def test_a_window_is_asked_for_its_length_and_nonsense_is_asked_again(folder):
    dialogue = (
        (MODE, "perhaps\n"),
        (MODE, "Windowed\n"),
        (SAMPLES, "\n"),
        (SAMPLES, "9999\n"),
        (SAMPLES, "6\n"),
    )
    code, out, shown = at_a_terminal(folder, *dialogue)
    assert code == 0
    window, _ = edgelstm.load(folder / "net.elstm").model.layers
    assert (window.kind, window.length) == ("window", 6)
    assert "runs windowed (as answered): over the last 6 samples" in out
    assert '"perhaps" is no answer; expected stateful or windowed\n' in shown
    assert '"" is no answer; expected a number of samples, 1 to 4096\n' in shown
    assert '"9999" is no answer; expected a number of samples, 1 to 4096\n' in shown


UNANSWERED = {
    "nonsense": ([(MODE, "what?\n")] * 3, 2, "3 answers that are none; nothing was written. Say --mode stateful, or"),
    "the end of the input": ([(MODE, CTRL_D)], 2, "no answer to the question; nothing was written. Say --mode stateful, or"),
    "an interrupt": ([(MODE, CTRL_C)], 130, "interrupted at the question; nothing was written"),
    "an interrupt later": ([(MODE, "w\n"), (SAMPLES, CTRL_C)], 130, "interrupted at the question; nothing was written"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNANSWERED)
def test_without_an_answer_it_ends_with_a_line_and_no_file(folder, case):
    dialogue, expected, message = UNANSWERED[case]
    code, out, shown = at_a_terminal(folder, *dialogue)
    assert (code, out) == (expected, "")
    assert shown.splitlines()[-1].startswith(f"edgelstm: {message}")
    assert "Traceback" not in shown
    assert not (folder / "net.elstm").exists()


NOT_ASKED = {
    "a mode": (["--mode", "stateful"], "net.safetensors", "runs stateful (as asked for)"),
    "a window": (["--window", "5"], "net.safetensors", "runs windowed (as asked for)"),
    "masked runs": (["--uncertainty", "4", "--dropout", "0.2"], "net.safetensors", "runs stateful (by default)"),
    "no state": ([], "dense.safetensors", "runs stateful, which is the same as windowed, to the bit"),
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_ASKED)
def test_what_is_said_or_makes_no_difference_is_not_asked(folder, case):
    options, source, line = NOT_ASKED[case]
    code, out, shown = at_a_terminal(folder, options=options, source=source)
    assert (code, shown) == (0, "")
    assert line in out


def test_nobody_is_asked_where_nobody_can_answer(folder):
    """Stderr is a terminal, stdin is not."""
    master, terminal = pty.openpty()
    command = ["convert", "net.safetensors", "--calibrate", "x.csv", "-o", "net.elstm", "--no-verify"]
    child = subprocess.run(
        [sys.executable, "-m", "edgelstm", *command],
        cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=terminal, timeout=LIMIT_S,
    )  # fmt: skip
    assert not select.select([master], [], [], 0)[0]
    os.close(terminal)
    os.close(master)
    assert child.returncode == 0
    assert (
        b"runs stateful (by default): its state goes on from sample to sample. Trained on windows of N"
        in child.stdout
    )


def keras_file(folder, **settings):
    """An LSTM of Keras on sequences of 12 samples."""
    pytest.importorskip("h5py")
    from keras_cases import LSTM, I, lstm_weights, sequential, write_keras

    config = sequential({"class_name": "LSTM", "config": {**LSTM["config"], **settings}})
    config["config"]["layers"][0]["config"]["batch_shape"] = [1, 12, I]
    rows = "\n".join(f"{t},{t % 7},{t % 5},{t % 3}" for t in range(60))
    (folder / "x.csv").write_text(f"time,a,b,c\n{rows}\n")
    return write_keras(folder / "net.keras", config, {("lstm/cell", "rnn"): lstm_weights()}).name


def test_a_fixed_length_is_what_is_proposed(folder):
    questions = ("stateful or windowed? [windowed] ", "\n"), (SAMPLES + "[12] ", "\n")
    code, out, shown = at_a_terminal(
        folder, *questions, source=keras_file(folder), options=["--max-loss", "0"]
    )
    assert code == 0
    assert "Its sequences are fixed to 12 samples, which speaks for windows.\n" in shown
    assert "12 steps an output" in shown
    assert "runs windowed (as answered): over the last 12 samples" in out


def test_a_file_that_says_it_is_not_asked_about(folder):
    source = keras_file(folder, stateful=True)
    code, out, shown = at_a_terminal(folder, source=source, options=["--max-loss", "0"])
    assert (code, shown) == (0, "")
    assert (
        'runs stateful (as the file says: its layer "rnn" is stateful): its state goes on from sample to sample\n'
        in out
    )
