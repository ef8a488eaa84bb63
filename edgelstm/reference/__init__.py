"""The arithmetic in plain NumPy: the specification, the oracle of the tests, the fallback where Numba has no build."""
