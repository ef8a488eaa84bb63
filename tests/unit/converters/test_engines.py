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
from edgelstm_converters.readers import engines  # noqa: E402
from onnx_cases import AXIS, TAIL, H, integers, recurrent, weights, write  # noqa: E402


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "m.onnx", [recurrent(), TAIL], [*weights(4), AXIS], y=("t", 1, H))


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
