"""What follows in a vector: a slice without a look at how long the vector is."""

from edgelstm.kernels.compiled import COMPILES

if COMPILES:
    from edgelstm.kernels.shaped import rest_of
else:

    def rest_of(words, first):
        """Return `words[first:]`."""
        return words[first:]


__all__ = ["rest_of"]
