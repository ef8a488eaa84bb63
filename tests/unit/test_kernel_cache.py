"""Machine code on disk: pruned after a month, read where it cannot be written, and no reason to fail where it is damaged."""

import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
import time

import pytest

from edgelstm import kernels

DAY_S = 86400
compiled = pytest.mark.skipif(not kernels.compiled.COMPILES, reason="there is no compiler here")
CHILD = """
import json, sys
import numpy as np
from importlib.resources import files
import edgelstm
from edgelstm import detector
from edgelstm.backend import kernels
model = edgelstm.load(files("edgelstm.models") / "pump.elstm")
detector.warm_up()
outputs = model.stream().step(np.zeros(model.inputs, np.float32)).tolist()
from edgelstm.kernels import machine_code
print(json.dumps({"outputs": outputs, "compiled": sorted(machine_code.unwritten), "said": kernels().not_kept()}))
"""
PATHS = """
import json, sys
import edgelstm.detector_batch
paths = {
    f"{name}.{function}": str(kernel.stats.cache_path)
    for name, module in list(sys.modules.items())
    if name.startswith("edgelstm.kernels.")
    for function, kernel in vars(module).items()
    if hasattr(kernel, "stats") and hasattr(kernel, "py_func")
}
print(json.dumps(paths))
"""


def child(folder):
    """Run a model in a process that keeps its machine code in `folder`; return what it found."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "EDGELSTM_CACHE_DIR": str(folder),
    }
    done = subprocess.run(
        [sys.executable, "-c", CHILD], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    return json.loads(done.stdout)


@contextlib.contextmanager
def read_only(folder, filled):
    """Make `folder` a copy of `filled` that nobody can write to, root neither."""
    if os.geteuid():
        shutil.copytree(filled, folder)
        for path in (folder, *folder.rglob("*")):
            path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
        yield
        for path in (folder, *folder.rglob("*")):
            path.chmod(path.stat().st_mode | stat.S_IWUSR)
        return
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", folder], capture_output=True, check=False
    ).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        shutil.copytree(filled, folder, dirs_exist_ok=True)
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    assert child(folder)["compiled"] == []
    return folder


@compiled
def test_what_nobody_used_for_a_month_is_deleted(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGELSTM_CACHE_DIR", str(tmp_path))
    own = kernels._find_cache().directory
    for name, days in (("kernels-old", 31), ("kernels-recent", 29), ("others-old", 400)):
        (tmp_path / name / "lanes_0").mkdir(parents=True)
        (tmp_path / name / "lanes_0" / "run-1.nbi").write_bytes(b"x")
        os.utime(tmp_path / name, (time.time() - days * DAY_S,) * 2)
    os.utime(own, (time.time() - 31 * DAY_S,) * 2)  # our own, used again now
    assert kernels._find_cache().directory == own
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [own.name, "kernels-recent", "others-old"]
    )
    assert time.time() - own.stat().st_mtime < DAY_S


@compiled
def test_what_detectors_and_networks_compile_is_kept_in_the_cache_of_this_digest():
    done = subprocess.run([sys.executable, "-c", PATHS], capture_output=True, text=True, check=True)
    paths = json.loads(done.stdout)
    assert "edgelstm.kernels.detection.many.run_many" in paths
    assert not [name for name, path in paths.items() if not path.startswith(str(kernels.CACHE.directory))]


@compiled
@pytest.mark.slow
def test_a_filled_cache_that_cannot_be_written_is_read(tmp_path, filled):
    with read_only(tmp_path / "image", filled):
        assert child(tmp_path / "image") == child(filled)
        assert child(tmp_path / "image")["compiled"] == []


@compiled
@pytest.mark.slow
def test_what_is_not_in_it_is_compiled_and_said(tmp_path, filled):
    shutil.copytree(filled, tmp_path / "partly")
    (missing,) = (tmp_path / "partly").rglob("many.run_many-*.nbi")
    missing.unlink()
    with read_only(tmp_path / "image", tmp_path / "partly"):
        found = child(tmp_path / "image")
    assert found["compiled"] == ["run_many"] and found["outputs"] == child(filled)["outputs"]
    assert (
        found["said"].startswith("1 kernels are compiled again in every process")
        and "edgelstm warm-up" in found["said"]
    )


@compiled
@pytest.mark.slow
@pytest.mark.parametrize("damage", ["empty", "cut", "noise"])
def test_damaged_files_are_compiled_anew_and_replaced(tmp_path, filled, damage):
    """As a loss of power leaves them."""
    shutil.copytree(filled, tmp_path / "cache")
    some = [
        path
        for path in sorted((tmp_path / "cache").rglob("*.nb[ic]"))
        if path.name.startswith(("many.", "chain."))
    ]
    assert {path.suffix for path in some} == {".nbi", ".nbc"}
    for path in some:
        content = path.read_bytes()
        path.write_bytes(
            {"empty": b"", "cut": content[: len(content) // 2], "noise": bytes(len(content))}[damage]
        )
    assert child(tmp_path / "cache") == child(filled)
    assert all(path.stat().st_size > 0 for path in some)
    assert not any(set(path.read_bytes()) == {0} for path in some)
