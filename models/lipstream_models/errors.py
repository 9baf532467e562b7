"""One family of errors: what was expected, what came, what to do."""


class LipstreamError(ValueError):
    """Bad input; the message says what was expected, what came and what to do."""
