"""One family of errors: what was expected, what came, what to do."""


class LipstreamError(ValueError):
    """Bad input; the message says what was expected, what came and what to do."""

    # How the command line recognises an error that is meant for whoever typed the command.
    exit_code = 2


class WeightsError(LipstreamError):
    """A weight file cannot be read, or its tensors do not fit."""
