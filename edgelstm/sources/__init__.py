"""Where samples come from. A new kind of recording is one new reader and one line in this table."""

RECORDINGS = {
    ".csv": "edgelstm.sources.csv_recording",
    ".txt": "edgelstm.sources.csv_recording",
    ".tsv": "edgelstm.sources.csv_recording",
    ".npz": "edgelstm.sources.npz_recording",
}
"""Ending of a file, without .gz, to the module whose `read` understands it."""
