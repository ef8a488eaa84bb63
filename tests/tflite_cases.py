"""TFLite files built with LiteRT's own schema: dense layers, the fused LSTM, cells inside a WHILE."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

RNG = np.random.default_rng(2)
I, H, T = 3, 5, 6  # noqa: E741
OP, TYPE = schema.BuiltinOperator, schema.TensorType
TYPES = {
    np.dtype(np.float32): TYPE.FLOAT32,
    np.dtype(np.int32): TYPE.INT32,
    np.dtype(np.int16): TYPE.INT16,
    np.dtype(np.int8): TYPE.INT8,
    np.dtype(np.bool_): TYPE.BOOL,
}


def random(*shape, spread=0.5):
    return RNG.normal(0, spread, shape).astype(np.float32)


class Graph:
    """One subgraph, put together tensor by tensor."""

    def __init__(self, model, name):
        self.model, self.graph = model, schema.SubGraphT()
        self.graph.name, self.graph.tensors, self.graph.operators = name, [], []
        self.graph.inputs, self.graph.outputs = [], []
        model.subgraphs.append(self.graph)

    def tensor(self, name, shape, kind=TYPE.FLOAT32, *, variable=False, data=None, scale=None, zero=0):
        made = schema.TensorT()
        made.name, made.shape, made.type, made.isVariable, made.buffer = name, list(shape), kind, variable, 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            made.buffer = len(self.model.buffers) - 1
        if scale is not None:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = (
                np.atleast_1d(scale).astype(np.float32),
                [zero] * np.size(scale),
            )
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def constant(self, name, values, *, int8=False):
        values = np.asarray(values)
        if int8:
            scale = np.abs(values).max() / 127
            return self.tensor(
                name, values.shape, TYPE.INT8, data=np.rint(values / scale).astype(np.int8), scale=scale
            )
        return self.tensor(name, values.shape, TYPES[values.dtype], data=values)

    def add(self, code, inputs, outputs, kind=None, **options):
        codes = [entry.builtinCode for entry in self.model.operatorCodes]
        if code not in codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), 1
            self.model.operatorCodes.append(entry)
            codes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = codes.index(code), inputs, outputs
        if kind:
            operator.builtinOptions = getattr(schema, kind + "T")()
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            for key, value in options.items():
                setattr(operator.builtinOptions, key, value)
        self.graph.operators.append(operator)
        return outputs[0] if outputs else None

    def value(self, code, inputs, shape, kind=None, type_=TYPE.FLOAT32, **options):
        """Add an operator with one new output."""
        return self.add(
            code, inputs, [self.tensor(f"v{len(self.graph.tensors)}", shape, type_)], kind, **options
        )


def new_model():
    """Return a model without graphs; what is random in it does not depend on what was made before."""
    RNG.bit_generator.state = np.random.default_rng(2).bit_generator.state
    model = schema.ModelT()
    model.version, model.description, model.operatorCodes, model.subgraphs = 3, "test", [], []
    model.buffers = [schema.BufferT()]
    return model


def write(model, path):
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def dense(graph, source, rows, columns, outputs, *, int8=False, sizes=None):
    weights = graph.constant("dense/weights", random(outputs, columns), int8=int8)
    return graph.value(
        OP.FULLY_CONNECTED, [source, weights, graph.constant("dense/bias", random(outputs))], (*(sizes or (1, rows)), outputs),
        "FullyConnectedOptions", keepNumDims=True,
    )  # fmt: skip


def cell_inputs(graph, prefix="", *, int8=False, peephole=False, coupled=False, projection=False):
    """Inputs 1 to 17 of the fused LSTM: matrices, peepholes, biases, projection."""
    hidden, inputs = 2 if projection else H, []
    for what, width in (("w", I), ("u", hidden)):
        for gate in "ifco":
            left_out = coupled and gate == "i"
            values = random(H, width)
            inputs.append(-1 if left_out else graph.constant(f"{prefix}{what}{gate}", values, int8=int8))
    left_out = ("i",) if coupled else ()
    inputs += [
        graph.constant(f"{prefix}p{g}", random(H), int8=int8) if peephole and g not in left_out else -1
        for g in "ifo"
    ]
    inputs += [-1 if g in left_out else graph.constant(f"{prefix}b{g}", random(H)) for g in "ifco"]
    inputs.append(graph.constant(f"{prefix}projection", random(hidden, H)) if projection else -1)
    inputs.append(
        graph.constant(f"{prefix}projection_bias", random(hidden)) if projection == "biased" else -1
    )
    return inputs, hidden


def states(graph, prefix, hidden):
    return [graph.tensor(f"{prefix}{key}", (1, n), variable=True) for key, n in (("h", hidden), ("c", H))]


def fused_lstm(
    path, *, int8=False, clip=0.0, activation=4, norm=False, projection_clip=0.0, steps=T, time_major=False,
    asymmetric=False, **variant,
):  # fmt: skip
    """UNIDIRECTIONAL_SEQUENCE_LSTM and a dense layer, in float or with int8 weights."""
    model = new_model()
    graph = Graph(model, "main")
    sizes = (steps, 1) if time_major else (1, steps)
    x = graph.tensor("x", (*sizes, I))
    parts, hidden = cell_inputs(graph, int8=int8, **variant)
    normalised = "ifco" if norm is True else norm or ""
    if variant.get("coupled"):
        normalised = normalised.replace("i", "")
    norms = [graph.constant(f"norm{g}", 1 + random(H)) if g in normalised else -1 for g in "ifco"]
    y = graph.value(
        OP.UNIDIRECTIONAL_SEQUENCE_LSTM, [x, *parts, *states(graph, "", hidden), *norms], (*sizes, hidden),
        "UnidirectionalSequenceLSTMOptions", fusedActivationFunction=activation, cellClip=clip, projClip=projection_clip,
        timeMajor=time_major, asymmetricQuantizeInputs=asymmetric,
    )  # fmt: skip
    graph.graph.inputs = [x]
    graph.graph.outputs = [dense(graph, y, steps, hidden, 2, int8=int8, sizes=sizes)]
    return write(model, path)


IN_SCALE, OUT_SCALE, CELL_SCALE = 0.03, 1 / 128, 2.0**-11


def whole_lstm(path, *, time_major=False, clip=0.0, projection=False, peephole=False, out_scale=OUT_SCALE):
    """The fused LSTM of which everything is integers: signal, output int8, cell int16, biases int32; float at both ends."""
    model = new_model()
    graph = Graph(model, "main")
    sizes, hidden = (T, 1) if time_major else (1, T), 2 if projection else H
    x = graph.tensor("x", (*sizes, I))
    signal = graph.tensor("x8", (*sizes, I), TYPE.INT8, scale=IN_SCALE, zero=5)
    graph.add(OP.QUANTIZE, [x], [signal])
    inputs, steps = [], {}
    for what, width in (("w", I), ("u", hidden)):
        for gate in "ifco":
            values = random(H, width)
            steps[what, gate] = np.abs(values).max() / 127
            inputs.append(graph.constant(f"{what}{gate}", values, int8=True))
    for gate in "ifo":
        values = random(H)
        step = np.abs(values).max() / 32767
        whole = np.rint(values / step).astype(np.int16)
        inputs.append(graph.tensor(f"p{gate}", (H,), TYPE.INT16, data=whole, scale=step) if peephole else -1)
    for gate in "ifco":
        inputs.append(_whole_bias(graph, f"b{gate}", H, IN_SCALE * steps["w", gate]))
    inputs.append(graph.constant("projection", random(hidden, H), int8=True) if projection else -1)
    inputs.append(-1)
    inputs.append(graph.tensor("h", (1, hidden), TYPE.INT8, variable=True, scale=OUT_SCALE))
    inputs.append(graph.tensor("c", (1, H), TYPE.INT16, variable=True, scale=CELL_SCALE))
    y = graph.tensor("y8", (*sizes, hidden), TYPE.INT8, scale=out_scale)
    graph.add(
        OP.UNIDIRECTIONAL_SEQUENCE_LSTM, [signal, *inputs, *[-1] * 4], [y], "UnidirectionalSequenceLSTMOptions",
        fusedActivationFunction=4, cellClip=clip, projClip=0.0, timeMajor=time_major, asymmetricQuantizeInputs=False,
    )  # fmt: skip
    between = [graph.tensor(f"gate{n}", (H,), TYPE.INT16, scale=2.0**-12) for n in range(4)]
    between.append(graph.tensor("unprojected", (H,), TYPE.INT8, scale=OUT_SCALE))
    graph.graph.operators[-1].intermediates = between
    weights = random(2, hidden)
    made = graph.tensor("made", (*sizes, 2), TYPE.INT8, scale=0.02)
    graph.add(
        OP.FULLY_CONNECTED,
        [y, graph.constant("dense/weights", weights, int8=True), _whole_bias(graph, "dense/bias", 2, out_scale * np.abs(weights).max() / 127)],
        [made], "FullyConnectedOptions", keepNumDims=True,
    )  # fmt: skip
    graph.graph.inputs = [x]
    graph.graph.outputs = [graph.value(OP.DEQUANTIZE, [made], (*sizes, 2))]
    return write(model, path)


def _whole_bias(graph, name, count, step):
    whole = np.rint(random(count) / step).astype(np.int32)
    return graph.tensor(name, (count,), TYPE.INT32, data=whole, scale=step)


def fused_bidirectional(path, *, merged=True, time_major=False, **variant):
    """BIDIRECTIONAL_SEQUENCE_LSTM and a dense layer."""
    model = new_model()
    graph = Graph(model, "main")
    shape = (T, 1, I) if time_major else (1, T, I)
    x = graph.tensor("x", shape)
    (forward, hidden), (backward, _) = (cell_inputs(graph, way, **variant) for way in ("fw", "bw"))
    inputs = [x, *forward, *backward, *states(graph, "fw", hidden), *states(graph, "bw", hidden), *[-1] * 9]
    widths = [2 * hidden] if merged else [hidden, hidden]
    given = [graph.tensor(f"y{n}", (*shape[:2], width)) for n, width in enumerate(widths)]
    graph.add(
        OP.BIDIRECTIONAL_SEQUENCE_LSTM, inputs, given, "BidirectionalSequenceLSTMOptions", fusedActivationFunction=4,
        mergeOutputs=merged, timeMajor=time_major, cellClip=0.0, projClip=0.0, asymmetricQuantizeInputs=False,
    )  # fmt: skip
    y = given[0]
    if not merged:
        y = graph.value(OP.ADD, given, (*shape[:2], hidden), "AddOptions")
    weights = graph.constant("dense/weights", random(2, widths[0]))
    out = graph.value(
        OP.FULLY_CONNECTED, [y, weights, -1], (*shape[:2], 2), "FullyConnectedOptions", keepNumDims=True
    )
    graph.graph.inputs, graph.graph.outputs = [x], [out]
    return write(model, path)


def two_ways(path):
    """What Keras 2's Bidirectional becomes: two fused LSTMs, one between two REVERSE_V2."""
    model = new_model()
    graph = Graph(model, "main")
    x, axis = graph.tensor("x", (1, T, I)), graph.constant("axis", np.array([1], np.int32))
    given = []
    for way in ("fw", "bw"):
        read = graph.value(OP.REVERSE_V2, [x, axis], (1, T, I)) if way == "bw" else x
        parts, hidden = cell_inputs(graph, way)
        y = graph.value(
            OP.UNIDIRECTIONAL_SEQUENCE_LSTM, [read, *parts, *states(graph, way, hidden), *[-1] * 4], (1, T, H),
            "UnidirectionalSequenceLSTMOptions", fusedActivationFunction=4, cellClip=0.0, projClip=0.0, timeMajor=False,
        )  # fmt: skip
        given.append(graph.value(OP.REVERSE_V2, [y, axis], (1, T, H)) if way == "bw" else y)
    both = graph.value(OP.CONCATENATION, given, (1, T, 2 * H), "ConcatenationOptions", axis=2)
    graph.graph.inputs, graph.graph.outputs = [x], [dense(graph, both, T, 2 * H, 2)]
    return write(model, path)


def lstm_step(graph, x, h, c):
    z = graph.value(OP.ADD, [
        graph.value(OP.FULLY_CONNECTED, [x, graph.constant("w", random(4 * H, I)), -1], (1, 4 * H), "FullyConnectedOptions"),
        graph.value(OP.FULLY_CONNECTED, [h, graph.constant("u", random(4 * H, H)), graph.constant("b", random(4 * H))], (1, 4 * H), "FullyConnectedOptions"),
    ], (1, 4 * H), "AddOptions")  # fmt: skip
    parts = [graph.tensor(f"gate{n}", (1, H)) for n in range(4)]
    graph.add(
        OP.SPLIT, [graph.constant("axis", np.array(1, np.int32)), z], parts, "SplitOptions", numSplits=4
    )
    i, f, g, o = parts
    i, f, o = (graph.value(OP.LOGISTIC, [part], (1, H)) for part in (i, f, o))
    g = graph.value(OP.TANH, [g], (1, H))
    kept, new = (
        graph.value(OP.MUL, [f, c], (1, H), "MulOptions"),
        graph.value(OP.MUL, [i, g], (1, H), "MulOptions"),
    )
    c = graph.value(OP.ADD, [kept, new], (1, H), "AddOptions")
    return graph.value(OP.MUL, [o, graph.value(OP.TANH, [c], (1, H))], (1, H), "MulOptions"), c


def while_lstm(path):
    """What Keras's LSTM becomes: a WHILE over t, whose body picks a row and takes a step; the last state goes on."""
    model = new_model()
    main, cond, body = (Graph(model, name) for name in ("main", "cond", "body"))
    shapes = [((), TYPE.INT32), ((T, 1, I), TYPE.FLOAT32), ((1, H), TYPE.FLOAT32), ((1, H), TYPE.FLOAT32)]
    for graph in (cond, body):
        graph.graph.inputs = [graph.tensor(f"carried{n}", *shape) for n, shape in enumerate(shapes)]
    steps = cond.constant("steps", np.array(T, np.int32))
    cond.graph.outputs = [cond.value(OP.LESS, [0, steps], (), type_=TYPE.BOOL)]
    t, x, h, c = body.graph.inputs
    row = body.value(OP.GATHER, [x, t], (1, I), "GatherOptions", axis=0)
    h, c = lstm_step(body, row, h, c)
    after = body.value(OP.ADD, [t, body.constant("one", np.array(1, np.int32))], (), "AddOptions", TYPE.INT32)
    body.graph.outputs = [after, x, h, c]
    x = main.tensor("x", (1, T, I))
    perm = main.constant("perm", np.array([1, 0, 2], np.int32))
    turned = main.value(OP.TRANSPOSE, [x, perm], (T, 1, I), "TransposeOptions")
    zeros = [main.constant(name, np.zeros((1, H), np.float32)) for name in ("h0", "c0")]
    outputs = [main.tensor(f"out{n}", *shape) for n, shape in enumerate(shapes)]
    begun = [main.constant("t0", np.array(0, np.int32)), turned, *zeros]
    main.add(OP.WHILE, begun, outputs, "WhileOptions", condSubgraphIndex=1, bodySubgraphIndex=2)
    weights = main.constant("dense/weights", random(2, H))
    y = main.value(OP.FULLY_CONNECTED, [outputs[2], weights, -1], (1, 2), "FullyConnectedOptions")
    main.graph.inputs, main.graph.outputs = [x], [y]
    return write(model, path)


def normalised(path, way):
    """A fused LSTM, and behind it what Keras' LayerNormalization, an L2 norm, or a limit becomes; a dense layer."""
    model = new_model()
    graph = Graph(model, "main")
    x, shape, one = graph.tensor("x", (1, T, I)), (1, T, H), (1, T, 1)
    h = graph.value(
        OP.UNIDIRECTIONAL_SEQUENCE_LSTM, [x, *cell_inputs(graph)[0], *states(graph, "", H), *[-1] * 4], shape,
        "UnidirectionalSequenceLSTMOptions", fusedActivationFunction=4, cellClip=0.0, projClip=0.0, timeMajor=False,
    )  # fmt: skip
    last = graph.constant("last", np.array([2], np.int32))
    eps = graph.constant("eps", np.float32(1e-3))

    def mul(a, b, size=shape):
        return graph.value(OP.MUL, [a, b], size, "MulOptions")

    if way == "layer":
        mean = graph.value(OP.MEAN, [h, last], one, "ReducerOptions", keepDims=True)
        square = graph.value(OP.SQUARED_DIFFERENCE, [h, mean], shape, "SquaredDifferenceOptions")
        variance = graph.value(OP.MEAN, [square, last], one, "ReducerOptions", keepDims=True)
        inside = graph.value(OP.ADD, [variance, eps], one, "AddOptions")
        factor = mul(graph.value(OP.RSQRT, [inside], one), graph.constant("gamma", random(H)))
        shift = graph.value(
            OP.SUB, [graph.constant("beta", random(H)), mul(mean, factor)], shape, "SubOptions"
        )
        y = graph.value(OP.ADD, [mul(h, factor), shift], shape, "AddOptions")
    elif way == "l2":
        total = graph.value(OP.SUM, [mul(h, h), last], one, "ReducerOptions", keepDims=True)
        y = mul(
            h,
            graph.value(OP.RSQRT, [graph.value(OP.MAXIMUM, [total, eps], one, "MaximumMinimumOptions")], one),
        )
    elif way == "leaky":
        y = graph.value(OP.LEAKY_RELU, [h], shape, "LeakyReluOptions", alpha=0.3)
    elif way == "GELU":
        y = graph.value(OP.GELU, [h], shape, "GeluOptions", approximate=True)
    else:
        y = graph.value(getattr(OP, way), [h], shape)
    graph.graph.inputs, graph.graph.outputs = [x], [dense(graph, y, T, H, 2)]
    return write(model, path)


def depthwise(path, padding):
    """Each channel by itself: a dilated convolution with two outputs of each, then a dense layer."""
    model = new_model()
    graph = Graph(model, "main")
    x, same, width = graph.tensor("x", (1, T, I)), padding == "SAME", 2 * I
    rows = T if same else T - 4
    axis = graph.constant("axis", np.array(1, np.int32))
    y = graph.value(OP.EXPAND_DIMS, [x, axis], (1, 1, T, I), "ExpandDimsOptions")
    kernel, bias = graph.constant("kernel", random(1, 1, 3, width)), graph.constant("bias", random(width))
    y = graph.value(
        OP.DEPTHWISE_CONV_2D, [y, kernel, bias], (1, 1, rows, width), "DepthwiseConv2DOptions", padding=getattr(schema.Padding, padding),
        strideW=1, strideH=1, depthMultiplier=2, fusedActivationFunction=1, dilationWFactor=2, dilationHFactor=1,
    )  # fmt: skip
    y = graph.value(OP.SQUEEZE, [y], (1, rows, width), "SqueezeOptions", squeezeDims=[1])
    if not same:
        count = graph.constant("rows", np.array([1, rows * width], np.int32))
        y = graph.value(OP.RESHAPE, [y, count], (1, rows * width))
        weights = graph.constant("M", random(3, rows * width))
        y = graph.value(
            OP.FULLY_CONNECTED, [y, weights, -1], (1, 3), "FullyConnectedOptions", fusedActivationFunction=0, weightsFormat=0,
            keepNumDims=False,
        )  # fmt: skip
    graph.graph.inputs, graph.graph.outputs = [x], [y if not same else dense(graph, y, T, width, 4)]
    return write(model, path)


def convolved(path, *, pooled=False):
    """A causal convolution as Keras' becomes: padding, a second axis of space, CONV_2D with relu; average pooling; softmax."""
    model = new_model()
    graph = Graph(model, "main")
    x = graph.tensor("x", (1, T, I))
    pads = graph.constant("pads", np.array([[0, 0], [2, 0], [0, 0]], np.int32))
    y = graph.value(OP.PAD, [x, pads], (1, T + 2, I), "PadOptions")
    y = graph.value(
        OP.EXPAND_DIMS,
        [y, graph.constant("axis", np.array(1, np.int32))],
        (1, 1, T + 2, I),
        "ExpandDimsOptions",
    )
    kernel, bias = graph.constant("kernel", random(H, 1, 3, I)), graph.constant("bias", random(H))
    y = graph.value(
        OP.CONV_2D, [y, kernel, bias], (1, 1, T, H), "Conv2DOptions", padding=schema.Padding.VALID, strideW=1, strideH=1,
        fusedActivationFunction=1, dilationWFactor=1, dilationHFactor=1,
    )  # fmt: skip
    if pooled:
        pads = graph.constant("pads2", np.array([[0, 0], [0, 0], [3, 0], [0, 0]], np.int32))
        y = graph.value(OP.PAD, [y, pads], (1, 1, T + 3, H), "PadOptions")
        y = graph.value(
            OP.AVERAGE_POOL_2D, [y], (1, 1, T, H), "Pool2DOptions", padding=schema.Padding.VALID, strideW=1, strideH=1,
            filterWidth=4, filterHeight=1, fusedActivationFunction=0,
        )  # fmt: skip
    y = graph.value(OP.SQUEEZE, [y], (1, T, H), "SqueezeOptions", squeezeDims=[1])
    y = graph.value(OP.SOFTMAX, [dense(graph, y, T, H, 4)], (1, T, 4), "SoftmaxOptions", beta=1.0)
    graph.graph.inputs, graph.graph.outputs = [x], [y]
    return write(model, path)


def variables_lstm(path):
    """A stateful Keras layer, one sample a run: its state in variables that are read, and assigned for the next run."""
    model = new_model()
    graph, begin = Graph(model, "main"), Graph(model, "begin")

    def handle(owner, name):
        return owner.value(
            OP.VAR_HANDLE, [], (), "VarHandleOptions", TYPE.RESOURCE, container="", sharedName=name
        )

    zeros = begin.constant("zeros", np.zeros((1, H), np.float32))
    for name in ("h", "c"):
        begin.add(OP.ASSIGN_VARIABLE, [handle(begin, name), zeros], [], "AssignVariableOptions")
    graph.add(OP.CALL_ONCE, [], [], "CallOnceOptions", initSubgraphIndex=1)
    x = graph.tensor("x", (1, I))
    handles = [handle(graph, name) for name in ("h", "c")]
    before = [graph.value(OP.READ_VARIABLE, [each], (1, H), "ReadVariableOptions") for each in handles]
    after = lstm_step(graph, x, *before)
    for each, value in zip(handles, after, strict=True):
        graph.add(OP.ASSIGN_VARIABLE, [each, value], [], "AssignVariableOptions")
    weights = graph.constant("dense/weights", random(2, H))
    y = graph.value(OP.FULLY_CONNECTED, [after[0], weights, -1], (1, 2), "FullyConnectedOptions")
    graph.graph.inputs, graph.graph.outputs = [x], [y]
    return write(model, path)


def given_states(path, *, swapped=False):
    """One sample a run, its states inputs and outputs, in the order of the signal and in another one."""
    model = new_model()
    graph = Graph(model, "main")
    x, h, c = graph.tensor("x", (1, I)), graph.tensor("h", (1, H)), graph.tensor("c", (1, H))
    after = lstm_step(graph, x, h, c)
    weights = graph.constant("dense/weights", random(2, H))
    y = graph.value(OP.FULLY_CONNECTED, [after[0], weights, -1], (1, 2), "FullyConnectedOptions")
    graph.graph.inputs = [c, h, x] if swapped else [x, h, c]
    graph.graph.outputs = [*after, y] if swapped else [y, *after]
    return write(model, path)
