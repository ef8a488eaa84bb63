"""Property tests draw the same examples in every run; machines that are busy get the time they need."""

from hypothesis import settings

settings.register_profile("edgelstm", deadline=None, derandomize=True)
settings.load_profile("edgelstm")
