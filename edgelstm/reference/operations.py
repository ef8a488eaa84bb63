"""The words of a program: where the header and the operations stand, and what each operation's words mean.

A program is one int32 array: a header, the operations one after another, then parameters and weights, which
operations address by word. `word` counts int32 and `half` counts int16 from the start of state or scratch.

| operation      | its words after the kind |
|---|---|
| QUANTIZE_INPUT | channels, offsets word, gains word, scratch half |
| ROW_PRODUCT    | weights word, parameters word, groups, quads, source in state, source half, result word, accumulate, shifted |
| LSTM_CELL      | stride, z word, cell word, hidden half |
| GRU_RESET      | stride, z inputs word, z hidden word, hidden half, scratch half of the result |
| GRU_CELL       | stride, z inputs word, z hidden word, state word, hidden half, reset after |
| ACTIVATE       | stride, z word, activation code |
| NARROW         | stride, z word, bits, scratch half |
| EMIT           | units, z word, scales word |
| EMIT_HIDDEN    | units, state half, scales word |

`stride` is the number of units padded to a multiple of 16. The parameters of a row product are four vectors of 16 x groups words: multipliers, shifts,
bias, and the sum of each row's weights. Weights begin at a multiple of 64 bytes.
"""

OPERATION_COUNT, INPUTS, OUTPUTS = 0, 1, 2
FIRST_OPERATION = 4
OPERATION_WORDS = 10

(
    QUANTIZE_INPUT,
    ROW_PRODUCT,
    LSTM_CELL,
    GRU_RESET,
    GRU_CELL,
    ACTIVATE,
    NARROW,
    EMIT,
    EMIT_HIDDEN,
) = range(9)

DONE, WRONG_SHAPE = -1, -2
"""What the entries return; 0 and more is the position of a value that is not finite."""
