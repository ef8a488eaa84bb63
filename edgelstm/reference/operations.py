"""The words of a program: where the header and the operations stand, and what each operation's words mean.

A program is one int32 array: a header, the operations one after another, then parameters and weights, which
operations address by word. `word` counts int32 and `half` counts int16 from the start of state or scratch.

| operation      | its words after the kind |
|---|---|
| QUANTIZE_INPUT | channels, offsets word, gains word, scratch half |
| ROW_PRODUCT    | weights word, parameters word, groups, quads, source in state, source half, result word, accumulate, shifted |
| LSTM_CELL      | stride, z word, cell word, hidden half |
| LSTM_LAYER     | stride, input weights word, input quads, source in state, source half, hidden weights word, hidden quads, hidden half, parameters word, shifted, cell word, z word |
| GRU_RESET      | stride, z inputs word, z hidden word, hidden half, scratch half of the result |
| GRU_CELL       | stride, z inputs word, z hidden word, state word, hidden half, reset after |
| ACTIVATE       | stride, z word, activation code |
| NARROW         | stride, z word, bits, to state, half |
| EMIT           | units, z word, scales word, first output |
| EMIT_HALF      | units, from state, half, scales word, first output |
| EVERY          | state word of the counter, period, phase, how many operations to skip unless it is due |
| LOOP           | scratch word of the counter: it begins at 0 |
| END_LOOP       | scratch word of the counter, how often, how many operations to go back |
| MATCH          | channels, word of their numbers, values word (float32), scratch half of the result, result where all are equal |
| WHEN           | in state, half of a value, how many operations to skip where it is 0 |

`stride` is the number of units padded to a multiple of 16. The parameters of a row product are four vectors of 16 x groups words: multipliers, shifts,
bias, and minus the sum of each row's weights. Those of an LSTM layer are in `reference/lstm.py`. Weights begin at a multiple of 64 bytes.

EVERY counts samples from 0 to period - 1 and is due where it finds `phase`. LOOP and END_LOOP stand around what is
repeated; END_LOOP adds one to the counter and goes back to the operation after LOOP until it is `how often`.

From FIRST_SELDOM on stand operations that few programs use. Each is a function of its own in both packages,
`name(of, program, state, scratch)`, whose docstring says what the words `of` mean; SELDOM says where it is. A `place` is
where an int16 vector stands, in one word: twice its half, plus one where it is in state.
"""

OPERATION_COUNT, INPUTS, OUTPUTS, LIMITS = 0, 1, 2, 3
"""LIMITS: word of the least and the largest value of every channel (float32), beyond which a sample is refused; 0 for none."""
FIRST_OPERATION = 4
OPERATION_WORDS = 16

(
    QUANTIZE_INPUT,
    ROW_PRODUCT,
    LSTM_CELL,
    LSTM_LAYER,
    GRU_RESET,
    GRU_CELL,
    ACTIVATE,
    NARROW,
    EMIT,
    EMIT_HALF,
    MATCH,
    EVERY,
    LOOP,
    END_LOOP,
    WHEN,
) = range(15)

FIRST_SELDOM = 15
(
    COPY,
    ELEMENT_PRODUCT,
    MULTIPLY,
    ACTIVATE_SELDOM,
    LSTM_CELL_OPTIONS,
    PUSH,
    GATHER,
    POOL,
    NORMALIZE,
    LOOKUP,
    LOAD_ROW,
    STORE_ROW,
    RESET,
    COUNT_UP,
    SCORE_DOT,
    SCORE_ADDITIVE,
    ATTEND,
    MASK,
    SPREAD,
    PATCH,
    SPLIT_GATES,
    BEGIN,
    BEGIN_HIDDEN,
    CHOOSE,
    NARROW_STATE,
    CURVE,
    LSTM_NORM,
    LIMIT,
) = range(FIRST_SELDOM, FIRST_SELDOM + 28)

SELDOM: dict[int, tuple[str, str]] = {
    COPY: ("elementwise", "copy"),
    ELEMENT_PRODUCT: ("elementwise", "element_product"),
    MULTIPLY: ("elementwise", "multiply"),
    ACTIVATE_SELDOM: ("softmax", "activate_seldom"),
    LSTM_CELL_OPTIONS: ("lstm_options", "lstm_cell_options"),
    PUSH: ("ring", "push"),
    GATHER: ("ring", "gather"),
    POOL: ("ring", "pool"),
    NORMALIZE: ("normalize", "normalize"),
    LOOKUP: ("lookup", "lookup"),
    LOAD_ROW: ("rows", "load_row"),
    STORE_ROW: ("rows", "store_row"),
    RESET: ("rows", "reset"),
    COUNT_UP: ("attention", "count_up"),
    SCORE_DOT: ("attention", "score_dot"),
    SCORE_ADDITIVE: ("attention", "score_additive"),
    ATTEND: ("attention", "attend"),
    MASK: ("runs", "mask"),
    SPREAD: ("runs", "spread"),
    PATCH: ("grid", "patch"),
    SPLIT_GATES: ("grid", "split_gates"),
    BEGIN: ("decoding", "begin"),
    BEGIN_HIDDEN: ("decoding", "begin_hidden"),
    CHOOSE: ("decoding", "choose"),
    NARROW_STATE: ("decoding", "narrow_state"),
    CURVE: ("curve", "curve"),
    LSTM_NORM: ("lstm_options", "lstm_norm"),
    LIMIT: ("elementwise", "limit_words"),
}
"""Module (of `kernels` and of `reference`) and name of every seldom operation."""

DONE, WRONG_SHAPE = -1, -2
"""What the entries return; 0 and more is the position of a value that is not finite or beyond the limits of its channel."""
