"""Write the network as a .tflite file with the fused LSTM, state in variable tensors: float, int8 weights, or all int8.

TensorFlow's converter is not needed, and since Keras 3 would not write this operator. The schema is the one that
the ai-edge-litert package ships.
"""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from network import Network, ranges, signal

_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.int16): schema.TensorType.INT16,
    np.dtype(np.int32): schema.TensorType.INT32,
}
_NONE = -1


class _File:
    def __init__(self) -> None:
        self.buffers, self.tensors = [schema.BufferT()], []

    def add(self, name, shape, dtype, values=None, scale=None, variable=False) -> int:
        """Add a tensor, with its values if it is constant; return its number."""
        tensor = schema.TensorT(
            shape=list(shape), type=_TYPES[np.dtype(dtype)], name=name, isVariable=variable
        )
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT(scale=[float(scale)], zeroPoint=[0])
        if values is not None:
            data = np.frombuffer(np.ascontiguousarray(values, dtype).tobytes(), np.uint8)
            self.buffers.append(schema.BufferT(data=data))
            tensor.buffer = len(self.buffers) - 1
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def weights(self, name, values, *, int8) -> int:
        if not int8:
            return self.add(name, values.shape, np.float32, values)
        scale = np.abs(values).max() / 127
        return self.add(name, values.shape, np.int8, np.rint(values / scale), scale)

    def scale_of(self, number: int) -> float:
        return self.tensors[number].quantization.scale[0]

    def finish(self, operators, codes, inputs, outputs) -> bytes:
        graph = schema.SubGraphT(
            tensors=self.tensors, inputs=inputs, outputs=outputs, operators=operators, name="main"
        )
        model = schema.ModelT(
            version=3,
            operatorCodes=[
                schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=min(code, 127), version=version)
                for code, version in codes
            ],
            subgraphs=[graph],
            buffers=self.buffers,
            description="lstm",
        )
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def write(network: Network, kind: str) -> bytes:
    """Return the file; `kind` is "float", "hybrid" (int8 weights, float activations) or "int8"."""
    file, hidden, int8 = _File(), network.hidden, kind == "int8"
    quantized = kind != "float"
    largest_h, largest_c = ranges(network, signal(network.inputs, 500)) if int8 else (1.0, 1.0)
    x_scale = np.abs(signal(network.inputs, 500)).max() / 127 if int8 else None
    h_scale = largest_h / 127 if int8 else None
    c_scale = 2.0 ** (max(np.ceil(np.log2(largest_c)), 0) - 15) if int8 else None  # the kernel knows 0 to 6
    activation = np.int8 if int8 else np.float32
    x = file.add("x", (1, 1, network.inputs), activation, scale=x_scale)
    w = [
        file.weights(f"w{n}", rows, int8=quantized)
        for n, rows in enumerate(network.gates(network.input_weights))
    ]
    r = [
        file.weights(f"r{n}", rows, int8=quantized)
        for n, rows in enumerate(network.gates(network.hidden_weights))
    ]
    b = []
    for n, rows in enumerate(network.gates(network.bias)):
        scale = x_scale * file.scale_of(w[n]) if int8 else None
        values = np.rint(rows / scale) if int8 else rows
        b.append(file.add(f"b{n}", rows.shape, np.int32 if int8 else np.float32, values, scale))
    state_h = file.add("h", (1, hidden), activation, scale=h_scale, variable=True)
    state_c = file.add("c", (1, hidden), np.int16 if int8 else np.float32, scale=c_scale, variable=True)
    out = file.add("out", (1, 1, hidden), activation, scale=h_scale)
    lstm = schema.OperatorT(
        opcodeIndex=0,
        inputs=[x, *w, *r, *[_NONE] * 3, *b, _NONE, _NONE, state_h, state_c, *[_NONE] * 4],
        outputs=[out],
        builtinOptionsType=schema.BuiltinOptions.UnidirectionalSequenceLSTMOptions,
        builtinOptions=schema.UnidirectionalSequenceLSTMOptionsT(
            fusedActivationFunction=schema.ActivationFunctionType.TANH, timeMajor=False
        ),
    )
    if int8:  # the fifth one's scale is what the kernel takes for h; the others are only asked for
        lstm.intermediates = [file.add(f"z{n}", (1, hidden), np.int16, scale=2.0**-12) for n in range(4)] + [
            file.add("h_scale", (1, hidden), np.int8, scale=h_scale)
        ]
    dense_w = file.weights("dense_w", network.dense_weights, int8=quantized)
    y_scale = float(np.abs(network.dense_weights).sum(axis=1).max() * largest_h / 127) if int8 else None
    if int8:
        scale = h_scale * file.scale_of(dense_w)
        dense_b = file.add(
            "dense_b", network.dense_bias.shape, np.int32, np.rint(network.dense_bias / scale), scale
        )
    else:
        dense_b = file.add("dense_b", network.dense_bias.shape, np.float32, network.dense_bias)
    y = file.add("y", (1, network.outputs), activation, scale=y_scale)
    dense = schema.OperatorT(
        opcodeIndex=1,
        inputs=[out, dense_w, dense_b],
        outputs=[y],
        builtinOptionsType=schema.BuiltinOptions.FullyConnectedOptions,
        builtinOptions=schema.FullyConnectedOptionsT(),
    )
    codes = [
        (schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM, 1),
        (schema.BuiltinOperator.FULLY_CONNECTED, 4 if int8 else 3 if quantized else 1),
    ]
    return file.finish([lstm, dense], codes, [x], [y])
