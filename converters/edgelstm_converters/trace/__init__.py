"""A graph of tensors, run once on symbols: what each output element is computed from, whatever spelled it.

`graph` is what readers of graph formats give; `run` walks it; `expressions` holds what was found; `cells` and `assembly`
make layers of that.
"""
