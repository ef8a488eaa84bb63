"""The errors a user can cause or meet; the command line prints each as one line.

Every message says what was found, what was expected, and where: file, key, layer or row.
"""


class EdgeLstmError(Exception):
    """Base of every deliberate error; `exit_code` is what the command line exits with."""

    exit_code = 1


class UsageError(EdgeLstmError):
    """An argument or a combination of arguments makes no sense."""

    exit_code = 2


class InterruptError(EdgeLstmError):
    """Somebody pressed Ctrl-C at a question (128 + SIGINT)."""

    exit_code = 130


class RecordingError(EdgeLstmError):
    """A file of recorded samples cannot be read as numbers (EX_DATAERR)."""

    exit_code = 65


class ConversionError(EdgeLstmError):
    """A trained model holds something that cannot be converted exactly (EX_DATAERR)."""

    exit_code = 65


class CalibrationError(EdgeLstmError):
    """The history cannot be calibrated on (EX_DATAERR)."""

    exit_code = 65


class SampleError(EdgeLstmError):
    """A sample has the wrong shape or type, or is not finite; nothing was changed by it."""


class SnapshotError(EdgeLstmError):
    """A snapshot is damaged or belongs to another model; nothing was changed by it."""


class ModelFileError(EdgeLstmError):
    """A model file is missing, damaged or out of range (EX_UNAVAILABLE)."""

    exit_code = 69


class UnavailableError(EdgeLstmError):
    """Something this machine lacks: a package, a broker, a platform feature (EX_UNAVAILABLE)."""

    exit_code = 69


class ConfigError(EdgeLstmError):
    """The configuration is wrong (EX_CONFIG); the message names file and key."""

    exit_code = 78
