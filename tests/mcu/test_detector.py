"""The detector in C on this machine: every bit as the runtime gives it, events, snapshots and counters included."""

import ctypes
import math
import re
import shutil
import subprocess
from dataclasses import replace
from importlib import resources
from pathlib import Path

import msgspec
import numpy as np
import pytest

from c_code import COMPILER, WARNINGS
from c_detector import CDetector, assert_same_verdicts, pushed
from detector_cases import (
    SECOND,
    drifting_aside,
    eventful,
    persistence_model,
    settings_for,
    times,
    unsure_model,
)
from edgelstm.calibration import examine
from edgelstm.detector import Detector
from edgelstm.errors import ConversionError
from edgelstm.evidence_choice import WEIGHTS
from edgelstm.kernels.detection import layout as at
from edgelstm.output_roles import FAULT_OUTPUT, REBUILT_SUFFIX
from edgelstm.pretrained import general_detector
from edgelstm.stream import LoadedModel
from edgelstm_converters.c_export import detector as c_detector
from edgelstm_converters.c_export import detector_readout, export
from factories import random_model

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler: exported C is not compiled")
CLANG = shutil.which("clang")
CPUINFO = Path("/proc/cpuinfo")
HAS_FMA = CPUINFO.exists() and " fma " in CPUINFO.read_text()
SEASON = 240


def seasonal(seed, count, channels=3):
    """Noise about a season of 240 samples."""
    rng = np.random.default_rng(seed)
    wave = 2.0 * np.sin(2.0 * np.pi * np.arange(count) / SEASON)
    return (wave[:, None] + rng.normal(size=(count, channels))).astype(np.float32)


def with_detector(model, settings):
    return LoadedModel(replace(model, detector_settings=settings))


def every_signal():
    """Two channels with a forecast and its spread, one without, a logit, a season: each signal is heard somewhere."""
    model = unsure_model(["c0", "c1", "c2"], [0.0] * 3, [2.0] * 3)
    logit = msgspec.structs.replace(model.outputs[1], name=FAULT_OUTPUT)
    model = replace(model, outputs=(model.outputs[0], logit, *model.outputs[2:]))
    found = examine(
        LoadedModel(model),
        times(3000),
        seasonal(1, 3000),
        "1 per hour",
        weights=WEIGHTS,
        freeze_timeout_ns=60 * SECOND,
    )
    assert found.settings.season_ns
    assert set().union(*(channel.evidence for channel in found.settings.channels)) == set(at.SIGNALS)
    return with_detector(model, found.settings)


def apart():
    loaded, _ = general_detector(
        ["c0", "c1", "c2"], times(3000), seasonal(1, 3000), freeze_timeout_ns=60 * SECOND
    )
    return loaded


def rebuilding():
    model = persistence_model(["c0", "c1", "c2"], [10.0] * 3, [1.0, 2.0, 3.0])
    outputs = tuple(msgspec.structs.replace(y, name=y.name + REBUILT_SUFFIX) for y in model.outputs)
    return with_detector(replace(model, outputs=outputs), settings_for(["c0", "c1", "c2"]))


def recovering(loaded):
    """The same with alerts that clear when the channels that raised them are back."""
    settings = msgspec.structs.replace(loaded.model.detector_settings, recovery_ratio=0.4)
    return with_detector(loaded.model, settings)


def deaf_to_levels():
    loaded = rebuilding()
    channels = tuple(
        msgspec.structs.replace(
            c, evidence={"error": c.evidence["error"], "error_mean": c.evidence["error_mean"]}
        )
        for c in loaded.model.detector_settings.channels
    )
    settings = msgspec.structs.replace(loaded.model.detector_settings, channels=channels)
    return recovering(with_detector(loaded.model, settings))


def reading_out(loaded, **choices):
    """The same with a readout that learns on, from what a history of seasons has taught it."""
    names = loaded.channel_names if loaded.model.detector_settings.network == "apart" else None
    choices = {"readout_memory": 500, "freeze_timeout_ns": 60 * SECOND, "apart": names, **choices}
    found = examine(loaded, times(3000), seasonal(1, 3000), "1 per hour", **choices)
    return with_detector(loaded.model, found.settings)


def with_policy(on_missing):
    ranges = settings_for(["c0", "c1", "c2"]).channels
    ranges = (msgspec.structs.replace(ranges[0], valid_range=(4.0, 40.0)), *ranges[1:])
    settings = settings_for(
        ["c0", "c1", "c2"], on_missing=on_missing, freeze_timeout_ns=60 * SECOND, channels=ranges
    )
    return with_detector(random_model(5, 3, (("lstm", 7), ("linear", 3))), settings)


def sure():
    """A network whose spread nobody listens to."""
    model = unsure_model(["c0", "c1", "c2"], [10.0] * 3, [1.0, 2.0, 3.0])
    return with_detector(model, settings_for(["c0", "c1", "c2"]))


CASES = {
    "every signal": every_signal,
    "a spread that is not heard": sure,
    "each channel apart": apart,
    "an autoencoder": rebuilding,
    "hold": lambda: with_policy("hold"),
    "skip": lambda: with_policy("skip"),
    "reset": lambda: with_policy("reset"),
    "every signal, recovering": lambda: recovering(every_signal()),
    "each channel apart, recovering": lambda: recovering(apart()),
    "recovering without levels": deaf_to_levels,
    "reading out": lambda: reading_out(with_policy("hold"), recovery_ratio=0.4),
    "reading out, skip, no season": lambda: reading_out(with_policy("skip"), on_missing="skip", season_ns=0),
    "each channel apart, reading out": lambda: reading_out(apart()),
}


def recording_for(case, count):
    """Missing values, gaps, late samples and faults; a sensor that sticks; the last third before 1970."""
    times_ns, values = eventful(3, count)
    if case.startswith(("every signal", "each channel apart", "reading out")):
        values -= 10.0
        values[-160:, 2] = values[-160, 2] if np.isfinite(values[-160, 2]) else 0.5
    return times_ns, values


@pytest.mark.parametrize("case", CASES)
def test_verdicts_reasons_and_snapshots_are_those_of_the_runtime(case, tmp_path):
    loaded, (times_ns, values) = CASES[case](), recording_for(case, 1200)
    c, detector = CDetector(loaded, tmp_path), loaded.detector()
    assert c.save() == detector.snapshot()
    found, expected = c.run(times_ns, values), pushed(detector, times_ns, values)
    assert_same_verdicts(found, expected)
    assert {1, 3} <= set(found[1]["event"]), "a recording with faults that raises nothing tests little"
    assert case != "every signal" or detector.counters["stuck"] > 0
    assert c.save() == detector.snapshot()


def test_what_others_moved_to_is_adopted_in_c_too(tmp_path):
    loaded = recovering(with_policy("hold"))
    model = persistence_model(["c0", "c1", "c2"], [10.0] * 3, [1.0, 2.0, 3.0])
    loaded = with_detector(model, loaded.model.detector_settings)
    c, detector = CDetector(loaded, tmp_path), loaded.detector()
    times_ns, values = times(900), drifting_aside(900)
    assert_same_verdicts(c.run(times_ns, values), pushed(detector, times_ns, values))
    assert detector.counters["adopted"] > 0
    assert c.save() == detector.snapshot()


def test_one_takes_over_from_the_other_anywhere(tmp_path):
    """Blocks by turns in C and in Python, each from the other's snapshot, an alert open at some of the cuts."""
    loaded = every_signal()
    times_ns, values = recording_for("every signal", 1200)
    expected = pushed(loaded.detector(), times_ns, values)
    c, snapshot, open_at_a_cut, last = CDetector(loaded, tmp_path), loaded.detector().snapshot(), 0, None
    for turn, rows in enumerate(np.array_split(np.arange(len(values)), 60)):
        if turn % 2:
            assert c.load(snapshot) == 0
            c.verdict[0] = last
            found, snapshot = c.run(times_ns[rows], values[rows]), c.save()
        else:
            detector = loaded.detector()
            detector.restore(snapshot)
            open_at_a_cut += detector.open_alert is not None
            found, snapshot = pushed(detector, times_ns[rows], values[rows], last), detector.snapshot()
        last = found[1][-1]
        assert_same_verdicts(found, (expected[0][rows], expected[1][rows]))
    assert open_at_a_cut > 3


def test_times_before_1970_fall_into_the_same_bins(tmp_path):
    loaded = every_signal()
    c, detector = CDetector(loaded, tmp_path), loaded.detector()
    times_ns, values = times(500, start_ns=-250 * SECOND - 7), seasonal(5, 500)
    assert_same_verdicts(c.run(times_ns, values), pushed(detector, times_ns, values))
    assert c.save() == detector.snapshot()


@pytest.mark.parametrize("time_ns", [2**62, -(2**62), 2**63 - 1])
def test_a_time_that_is_none_changes_nothing(time_ns, tmp_path):
    c = CDetector(rebuilding(), tmp_path)
    before = c.save()
    assert c.push(time_ns, np.zeros(3, np.float32)) == -1
    assert c.save() == before


def test_snapshots_that_are_refused_leave_the_state_alone(tmp_path):
    loaded = with_policy("hold")
    c, detector = CDetector(loaded, tmp_path), loaded.detector()
    times_ns, values = eventful(1, 200)
    c.run(times_ns, values)
    before, good = c.save(), detector.snapshot()
    damaged = good[:200] + bytes([good[200] ^ 1]) + good[201:]
    stricter = msgspec.structs.replace(loaded.model.detector_settings, threshold=6.0)
    other = with_detector(random_model(6, 3, (("lstm", 7), ("linear", 3))), loaded.model.detector_settings)
    detector._network[0, 0] = 2**30  # no cell can reach it
    codes = [c.load(one) for one in (
        damaged, other.detector().snapshot(), detector.snapshot(), Detector(loaded, stricter).snapshot(),
    )]  # fmt: skip
    assert codes == [-1, -3, -4, -5]
    assert c.save() == before
    assert c.load(good) == 0


def test_the_fields_of_c_are_the_words_of_the_runtime_in_their_order():
    def names(fields):
        return [name.upper() for name in fields]

    assert [getattr(at, name) for name in names(c_detector.HEAD_WORDS)] == list(range(at.FIRST_CHANNEL_WORD))
    words = names((*c_detector.CHANNEL_WORDS, *c_detector.SPREAD_WORDS))
    assert [getattr(at, name) for name in words] == list(range(at.FIRST_SIGNAL))
    assert [getattr(at, name) for name in names(c_detector.HEAD_INTS)] == list(range(at.FIRST_COUNTER))
    own = ["ADOPTED_COUNT_OF_CHANNEL" if n == "ADOPTED_COUNT" else n for n in names(c_detector.CHANNEL_INTS)]
    assert [getattr(at, name) for name in own] == list(range(at.CHANNEL_INTS))
    assert [getattr(at, name) for name in names(c_detector.RECOVERY_WORDS)] == list(range(at.RECOVERY_WORDS))
    assert [getattr(at, name) for name in names(detector_readout.WORDS)] == list(range(at.READOUT_WORDS))
    counters = [getattr(at, name) - at.FIRST_COUNTER for name in c_detector.COUNTERS]
    assert counters == list(range(len(at.COUNTERS)))
    assert at.TAIL_WORDS == 5


@pytest.mark.parametrize("network", ["joint", "apart"])
def test_values_of_any_size_leave_a_readout_finite_and_the_same(network, tmp_path):
    """From the least to the largest that float32 holds, of either sign, learned from without a pause."""
    loaded = reading_out(with_policy("hold") if network == "joint" else apart())
    settings = msgspec.structs.replace(
        loaded.model.detector_settings, threshold=1e3, threshold_high=1e3, season_ns=0
    )
    channels = tuple(
        msgspec.structs.replace(c, readout=msgspec.UNSET, level_floor=floor, error_floor=floor)
        for c, floor in zip(settings.channels, (1e-30, 1.0, 1e30), strict=True)
    )
    loaded = with_detector(loaded.model, msgspec.structs.replace(settings, channels=channels))
    rng = np.random.default_rng(1)
    values = (10.0 ** rng.uniform(-37, 38, (800, 3)) * rng.choice([-1.0, 1.0], (800, 3))).astype(np.float32)
    detector, c = loaded.detector(), CDetector(loaded, tmp_path)
    assert_same_verdicts(c.run(times(800), values), pushed(detector, times(800), values))
    assert c.save() == detector.snapshot()
    assert np.isfinite(detector._floats).all()


def test_what_a_readout_takes_is_counted(tmp_path):
    """Weights, a scale and a spread of steps for every channel in flash; its words in state and snapshot alike."""
    reading = reading_out(apart())
    settings, features = reading.model.detector_settings, reading.detector().readout.features
    frozen = with_detector(reading.model, msgspec.structs.replace(settings, readout_memory=msgspec.UNSET))
    first, second = export(frozen, tmp_path / "frozen", "m"), export(reading, tmp_path / "reading", "m")
    assert second.detector_constant_bytes - first.detector_constant_bytes == 8 * 3 * (2 + features)
    words = 3 * (2 + 3 * features + features * (features + 1) // 2)
    assert second.detector_bytes - first.detector_bytes == 8 * words
    assert second.detector_snapshot_bytes - first.detector_snapshot_bytes == 8 * words


def test_every_stage_has_its_file_of_c():
    """A stage of the runtime that C has no file for would be missing in silence."""
    stages = {
        path.name[:-3]
        for path in resources.files("edgelstm.kernels.detection").iterdir()
        if path.name.endswith(".py")
    }
    folder = resources.files("edgelstm_converters.c_export") / "runtime" / "detector"
    in_c = {path.name[:-2] for path in folder.iterdir()}
    # arithmetic.c has the logarithm, together.c and apart.c the feed; `many` loops over detectors
    assert stages - {"__init__", "layout", "logarithm", "feed", "many"} <= in_c


def test_what_cannot_be_carried_is_refused_by_name_before_anything_is_written(tmp_path):
    loaded = rebuilding()
    deaf = tuple(msgspec.structs.replace(c, evidence={}) for c in loaded.model.detector_settings.channels)
    settings = msgspec.structs.replace(loaded.model.detector_settings, channels=deaf)
    with pytest.raises(ConversionError, match="the detector: no channel has evidence"):
        export(with_detector(loaded.model, settings), tmp_path / "out", "m")
    heard = every_signal()
    long = msgspec.structs.replace(heard.model.detector_settings, season_ns=2**61)
    with pytest.raises(ConversionError, match=r"the detector: a season of 2305843009213693952 ns in 24 bins"):
        export(with_detector(heard.model, long), tmp_path / "out", "m")
    assert not (tmp_path / "out").exists()


def test_a_product_and_a_sum_stay_two_operations(tmp_path):
    """With the options that let GCC contract them, the bits are the same; without our pragma the compiler would do it."""
    if not HAS_FMA:
        pytest.skip("this processor has no fused multiply-add")
    loaded, (times_ns, values) = every_signal(), recording_for("every signal", 600)
    expected = pushed(loaded.detector(), times_ns, values)
    options = ("-std=gnu99", "-O3", "-mfma")
    assert_same_verdicts(CDetector(loaded, tmp_path, *options).run(times_ns, values), expected)
    source = tmp_path / "m_detector.c"

    def fused(text):
        source.write_text(text)
        made = subprocess.run(
            [COMPILER, *options, "-S", "-o", "-", str(source)], capture_output=True, text=True, check=True
        )
        return len(re.findall(r"vfn?m(?:add|sub)", made.stdout))

    text = source.read_text()
    assert fused(text) == 0
    assert (
        fused(
            text.replace('#pragma GCC optimize("fp-contract=off")', "").replace(
                "#pragma STDC FP_CONTRACT OFF", ""
            )
        )
        > 0
    )


@pytest.mark.skipif(CLANG is None, reason="no clang (apt install clang): one compiler only")
def test_clang_finds_nothing_and_gives_the_same_bits(tmp_path):
    loaded, (times_ns, values) = every_signal(), recording_for("every signal", 600)
    c = CDetector(loaded, tmp_path, "-mfma" if HAS_FMA else "-O2", compiler=CLANG)
    assert_same_verdicts(c.run(times_ns, values), pushed(loaded.detector(), times_ns, values))


def test_it_calls_no_library_and_has_no_variables(tmp_path):
    if not shutil.which("nm"):
        pytest.skip("no nm: symbols are not looked at")
    export(every_signal(), tmp_path, "m")
    command = [COMPILER, "-O2", "-std=c99", "-ffreestanding", "-c", "m_detector.c"]
    subprocess.run(command, cwd=tmp_path, check=True)
    listed = subprocess.run(
        ["nm", "m_detector.o"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    kinds = {line.split()[-1]: line.split()[-2] for line in listed.splitlines()}
    assert {name for name, kind in kinds.items() if kind == "U"} - {"_GLOBAL_OFFSET_TABLE_"} == {
        "m_reset",
        "m_step",
    }
    assert [name for name, kind in kinds.items() if kind in "bBdDC"] == []
    own = {"m_push", "m_detector_reset", "m_detector_save", "m_detector_load"}
    assert {name for name, kind in kinds.items() if kind == "T"} == own


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", ["every signal", "each channel apart", "reset", "reading out", "each channel apart, reading out"]
)
def test_the_sanitizers_find_nothing(case, tmp_path):
    loaded, (times_ns, values) = CASES[case](), recording_for(case, 1200)
    exported = export(loaded, tmp_path, "m")
    np.asarray(times_ns, "<i8").tofile(tmp_path / "times")
    values.astype("<f4").tofile(tmp_path / "values")
    (tmp_path / "main.c").write_text(r"""
#include "m_detector.h"
#include <stdio.h>
int main(void)
{
    FILE *times = fopen("times", "rb"), *values = fopen("values", "rb");
    static uint8_t snapshot[M_DETECTOR_SNAPSHOT_BYTES];
    m_detector detector;
    m_verdict verdict;
    int64_t time_ns;
    float x[M_CHANNELS];
    m_detector_reset(&detector);
    while (fread(&time_ns, 8, 1, times) == 1 && fread(x, sizeof x, 1, values) == 1) {
        m_push(&detector, time_ns, x, &verdict);
        m_detector_save(&detector, snapshot);
        if (m_detector_load(&detector, snapshot) != M_LOADED)
            return 1;
    }
    return fwrite(snapshot, sizeof snapshot, 1, stdout) != 1;
}
""")
    sources = [str(exported.folder / name) for name in ("m.c", "m_detector.c", "main.c")]
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1"]
    built = subprocess.run(
        [COMPILER, *sanitize, *sources, "-o", str(tmp_path / "run")], capture_output=True, text=True
    )
    if built.returncode and "asan" in built.stderr:
        pytest.skip("this compiler has no sanitizers")
    assert built.returncode == 0, built.stderr
    detector = loaded.detector()
    detector.push_block(times_ns, values)
    assert (
        subprocess.run([str(tmp_path / "run")], cwd=tmp_path, stdout=subprocess.PIPE, check=True).stdout
        == detector.snapshot()
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", ["every signal", "each channel apart", "reading out", "each channel apart, reading out"]
)
def test_static_analysers_find_nothing(case, tmp_path):
    exported = export(CASES[case](), tmp_path, "m")
    source = str(exported.folder / "m_detector.c")
    command = [COMPILER, "-fanalyzer", *WARNINGS, "-O1", "-c", source]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    if shutil.which("cppcheck"):
        checks = [
            "--suppress=shiftTooManyBitsSigned"
        ]  # arithmetic shifts are what runtime/fixed_point.c asks for
        checks += ["--enable=warning,portability,performance", "--error-exitcode=3", "--quiet", "--std=c99"]
        subprocess.run(["cppcheck", *checks, source], check=True)


def test_the_square_root_is_exactly_rounded(tmp_path):
    """Against the square root of this machine, which is: random doubles of any size, perfect squares and their neighbours."""
    exported = export(rebuilding(), tmp_path, "m")
    text = (exported.folder / "m_detector.c").read_text()
    (tmp_path / "root.c").write_text(
        text + "\ndouble root(double x);\ndouble root(double x) { return square_root(x); }\n"
    )
    subprocess.run(
        [COMPILER, "-O2", "-shared", "-fPIC", "root.c", "m.c", "-o", "root.so"], cwd=tmp_path, check=True
    )
    root = ctypes.CDLL(str(tmp_path / "root.so")).root
    root.argtypes, root.restype = [ctypes.c_double], ctypes.c_double
    rng = np.random.default_rng(0)
    any_size = rng.integers(0, 0x7FF0000000000000, 5000).astype(np.uint64).view(np.float64)
    squares = np.square(rng.integers(1, 2**26, 2000).astype(np.float64))
    special = np.array(
        [0.0, 5e-324, 2.0**-1022, np.nextafter(2.0**-1022, 0), np.finfo(np.float64).max, 1.0, 2.0, 0.25]
    )
    for x in np.concatenate(
        [any_size, squares, np.nextafter(squares, 0), np.nextafter(squares, np.inf), special]
    ).tolist():
        assert root(x) == math.sqrt(x), x
