"""What tests of networks of PyTorch share: their sizes, and the way to ONNX."""

import contextlib
import logging
import warnings

import torch

INPUTS, HIDDEN = 4, 16


def export(network, path, dynamo):
    """Write ONNX; what the exporters say about themselves is not ours."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    sample, options = torch.zeros(1, 12, INPUTS), {}
    if not dynamo:
        options = {"input_names": ["x"], "dynamic_axes": {"x": {0: "batch", 1: "time"}}}
    with warnings.catch_warnings(), contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (sample,), path, dynamo=dynamo, **options)
    return path
