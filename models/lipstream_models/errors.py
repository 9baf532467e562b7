"""Base of all errors of this package."""


class LipstreamError(ValueError):
    """Invalid input. The message says what was expected, what came and what to do."""

    # Exit status of the command line for errors that are meant for its user.
    exit_code = 2


class WeightsError(LipstreamError):
    """A weight file cannot be read, or its tensors do not fit."""
