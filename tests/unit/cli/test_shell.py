"""The command line itself: help that loads nothing, verbs, and mistakes in one line."""

import importlib
import signal
import subprocess
import sys

import pytest

from edgelstm import cli
from edgelstm.alert import Alert
from edgelstm.alert_payload import FIELDS, alert_payload
from edgelstm.errors import ConfigError


def test_help_lists_every_verb_and_loads_nothing_heavy():
    code = (
        "import sys; from edgelstm.cli import main; main(['--help']); "
        "print([m for m in ('numpy', 'numba', 'msgspec', 'paho', 'argparse.x') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(f"\n  {verb} " in done.stdout for verb in cli.VERBS)


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_help(verb, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main([verb, "--help"])
    assert stopped.value.code == 0
    assert f"usage: edgelstm {verb}" in capsys.readouterr().out
    assert importlib.import_module(cli.VERBS[verb].module(verb)).SUMMARY


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("edgelstm 0.")


def test_an_unknown_verb_is_corrected(capsys):
    assert cli.main(["convrt"]) == 2
    assert capsys.readouterr().err == 'edgelstm: "convrt" is no command; did you mean "convert"?\n'


def test_a_verb_that_another_platform_lacks(capsys, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert cli.main(["run", "x.toml"]) == 69
    printed = capsys.readouterr().err
    assert printed.startswith('edgelstm: "run" runs on linux; this is win32, which has: convert, inspect')
    assert len(printed.splitlines()) == 1


def test_a_free_threaded_python_is_refused(capsys, monkeypatch):
    monkeypatch.setattr("sysconfig.get_config_var", lambda name: 1)
    assert cli.main(["inspect", "x"]) == 69
    assert "free-threaded" in capsys.readouterr().err


@pytest.mark.parametrize(("error", "code"), [(ConfigError("gw.toml: no"), 78), (KeyboardInterrupt(), 130)])
def test_errors_become_exit_codes(error, code, capsys, monkeypatch):
    def fail(args):
        raise error

    monkeypatch.setattr("edgelstm.cli.warm_up.run", fail)
    assert cli.main(["warm-up"]) == code
    assert capsys.readouterr().err in ("edgelstm: gw.toml: no\n", "")


@pytest.mark.parametrize("module", ["argparse", "edgelstm.errors", "edgelstm.cli"])
def test_ctrl_c_while_the_program_begins_says_nothing(module):
    code = f"""
import os, signal, sys
class Finder:
    def find_spec(name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder)
sys.argv = ["edgelstm", "--help"]
from edgelstm.start import main
sys.exit(main())
"""
    kept = signal.signal(
        signal.SIGINT, signal.SIG_DFL
    )  # a job in the background ignores it, and so would the child
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    finally:
        signal.signal(signal.SIGINT, kept)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_a_reader_that_leaves_early_is_no_error():
    command = f"{sys.executable} -m edgelstm simulate --list | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pmp"], 'no node is named "pmp"; did you mean "pump"?'),
        (["pump", "--fault", "rust@3"], 'no fault is named "rust"; expected one of: cavitation'),
        (["pump", "--fault", "blockage@x"], "--fault blockage@x: expected NAME@START"),
        (["pump", "--outage", "5"], "--outage 5: expected EVERY,FOR"),
        (["pump", "--rate", "0"], "--rate 0: expected"),
        (["pump", "--seconds", "-3"], "--seconds -3: expected 0.001 to 1e+09 seconds"),
        (["pump", "--seconds", "nan"], "--seconds nan: expected"),
        (["pump", "--seed", "-1"], "--seed -1: expected"),
        (["pump", "--duplicates", "1.5"], "--duplicates 1.5: expected 0 to 1"),
        (["pump", "--fault", "blockage@nan"], "--fault blockage@nan: expected NAME@START"),
        (["pump", "--seconds", "3", "--fault", "blockage@300"], "--fault blockage@300: begins after the end"),
        (["pump", "-p", "99999"], "--port 99999: expected 1 to 65535"),
        (["pump", "--record", "x.csv"], "--record needs --seconds"),
        (["pump", "--broker", "http://x"], "--broker http://x: expected mqtt://"),
        (["pump", "--broker", "mqtt://127.0.0.1:1"], "no broker at 127.0.0.1:1"),
    ],
)
def test_mistakes_of_simulate_are_one_line(arguments, message, capsys):
    assert cli.main(["simulate", *arguments]) != 0
    printed = capsys.readouterr().err
    assert len(printed.splitlines()) == 1
    assert message in printed


def test_warm_up_where_no_cache_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [sys.executable, "-c", "from edgelstm.kernels import CACHE; print(CACHE.reason)"],
        capture_output=True, text=True, check=True, env=environment(EDGELSTM_CACHE_DIR=str(tmp_path / "file")),
    )  # fmt: skip
    assert "the machine code cannot be kept" in done.stdout
    assert "set EDGELSTM_CACHE_DIR" in done.stdout


@pytest.mark.slow
def test_without_a_cache_directory_it_works_and_says_so_once(tmp_path):
    (tmp_path / "file").write_text("")
    program = (
        "import edgelstm, numpy as np; from importlib.resources import files\n"
        "model = edgelstm.load(files('edgelstm.models') / 'pump.elstm')\n"
        "x = np.zeros(model.inputs, np.float32)\n"
        "print([model.stream().step(x).shape for _ in range(2)] == [(model.outputs,)] * 2)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        env=environment(EDGELSTM_CACHE_DIR=str(tmp_path / "file")),
    )  # fmt: skip
    assert done.stdout == "True\n"
    assert done.stderr.count("the machine code cannot be kept") == 1
    assert "Traceback" not in done.stderr


def environment(**changes):
    import os

    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **changes}


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("{foo}", 'an alert has no field "foo"; it has event_type'),
        ("{ts", "--format"),
        ("{score:{ts", "--format"),
    ],
)
def test_a_format_that_no_alert_fits_is_said_before_one_comes(form, message, capsys):
    assert cli.main(["watch", "-p", "1", "-F", form]) == 2
    assert message in capsys.readouterr().err


def test_fields_that_a_format_may_name_are_those_of_an_alert():
    alert = Alert(
        event_type="raised", time_ns=2, opened_ns=1, severity="warning", score=1.0, peak_score=1.0, threshold=0.5,
        samples=1, channels=(),
    )  # fmt: skip
    payload = alert_payload(alert, node="n", stream="s", model="m", model_digest="d")
    assert tuple(payload) == FIELDS
