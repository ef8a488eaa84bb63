"""An engine that crashes, hangs or wants too much memory costs the proof, not the conversion."""

import os
import signal
import sys

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper  # noqa: E402

from edgelstm_converters import readers  # noqa: E402
from edgelstm_converters.float_model import FloatDense, FloatModel  # noqa: E402
from edgelstm_converters.readers import engines, proof  # noqa: E402
from onnx_cases import AXIS, TAIL, H, I, constant, integers, recurrent, weights, write  # noqa: E402


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "m.onnx", [recurrent(), TAIL], [*weights(4), AXIS], y=("t", 1, H))


def last_of_six(path, bias):
    """A network that gives one value for six samples: the last state, weighed, plus a number, through a sigmoid."""
    nodes = [
        helper.make_node("LSTM", ["x", "W", "R", "B"], ["", "last"], name="rnn", hidden_size=H),
        helper.make_node("Squeeze", ["last", "axis"], ["h"]),
        helper.make_node("Gemm", ["h", "M", "c"], ["m"]),
        helper.make_node("Sigmoid", ["m"], ["y"]),
    ]
    parts = [
        *weights(4),
        integers("axis", 0),
        constant("M", H, 1),
        constant("c", 1, value=np.array([bias], np.float32)),
    ]
    return write(path, nodes, parts, x=(6, 1, I), y=(1, 1))


def test_what_gives_one_row_is_run_over_many_windows(tmp_path):
    told = readers.read(last_of_six(tmp_path / "m.onnx", 0.0)).proof
    assert told.startswith("onnxruntime: within") and told.endswith("over 96 samples")


@pytest.mark.parametrize("bias", [200.0, -200.0])
def test_an_output_at_its_limit_proves_nothing(bias, tmp_path):
    told = readers.read(last_of_six(tmp_path / "m.onnx", bias)).proof
    assert (
        told
        == "not proved: onnxruntime gives the same for all random samples, which says nothing of the layers"
    )


def test_small_outputs_have_to_agree_as_well_as_large_ones():
    """A difference that is as large as what is compared says nothing, however small both are."""
    x = np.ones((4, 2), np.float32)
    model = FloatModel(2, (FloatDense("head", np.full((1, 2), 1e-6, np.float32), np.zeros(1, np.float32)),))
    exact = np.float32([[2e-6], [2e-6], [2e-6], [1.9999e-6]])
    assert proof.compare("engine", model, [(x, exact)], "").startswith("engine: within")
    told = proof.compare("engine", model, [(x, 2 * exact)], "")
    assert (
        told == "not proved: all that engine gives for random samples is below 4e-06, too little to compare"
    )


def running():
    """The process of the engine, which stays from one model to the next."""
    return engines._running["onnx"].process


def test_one_process_serves_all_models(path):
    assert readers.read(path).proof.startswith("onnxruntime: within")
    first = running().pid
    assert readers.read(path).proof.startswith("onnxruntime: within")
    assert running().pid == first != os.getpid()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_a_crash_costs_the_proof_only(path):
    readers.read(path)
    engine = engines.Engine("onnx", content=path.read_bytes())
    os.kill(running().pid, signal.SIGSEGV)
    with pytest.raises(engines.EngineDied, match=r"^onnxruntime crashed \(signal 11\)$"):
        engine.run({"x": np.zeros((2, 1, 3), np.float32)})
    assert readers.read(path).proof.startswith("onnxruntime: within")  # in a new process
    os.kill(running().pid, signal.SIGSEGV)
    assert readers.read(path).proof == "not proved: onnxruntime crashed (signal 11)"


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_no_answer_in_time(path, monkeypatch):
    readers.read(path)
    monkeypatch.setattr(engines, "LIMIT_S", 0.3)
    os.kill(running().pid, signal.SIGSTOP)
    assert readers.read(path).proof == "not proved: onnxruntime gave no answer in 0.3 s"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to its memory")
def test_more_memory_than_is_allowed(tmp_path):
    """A graph that asks for 64 GB: the engine says that it cannot have them, or dies; either is told in one line."""
    nodes = [helper.make_node("Expand", ["x", "shape"], ["y"])]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1,))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], [integers("shape", 16, 1_000_000_000)],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    engine = engines.Engine("onnx", content=model.SerializeToString())
    with pytest.raises((engines.EngineError, engines.EngineDied)) as told:
        engine.run({"x": np.zeros(1, np.float32)})
    assert "\n" not in str(told.value)
