"""The wheel, installed where there is no source beside it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(ROOT)],
        check=True,
    )
    return next(folder.glob("edgelstm-*.whl"))


def test_it_holds_three_packages_and_the_model(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {"edgelstm", "edgelstm_converters", "edgelstm_firmware_sim"} <= tops
    assert not {"tests", "bench", "examples"} & tops
    assert "edgelstm/models/pump.elstm" in names


def test_it_works_from_another_folder(wheel, tmp_path):
    """Dependencies come from the environment that runs the tests; the package itself from the wheel only."""
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)],
        check=True,
    )
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "import edgelstm, edgelstm_converters, edgelstm_firmware_sim, importlib.resources as r\n"
        f"assert edgelstm.__file__.startswith({str(site)!r}), edgelstm.__file__\n"
        "model = edgelstm.load(r.files('edgelstm') / 'models' / 'pump.elstm')\n"
        "print(model.stream().run(edgelstm_firmware_sim.record('pump', 5).values).shape, model.detector().threshold > 1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "(50, 4) True\n", done.stderr
