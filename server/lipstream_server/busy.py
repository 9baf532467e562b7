"""Not now, but later: what the server says while it loads, or when it is full."""


class BusyError(RuntimeError):
    """Something cannot be taken now. retry_after: seconds. reason: a word for metrics and logs."""

    def __init__(self, why: str, retry_after: float, reason: str = "busy") -> None:
        super().__init__(f"{why}; try again in {retry_after:g} s")
        self.reason = reason
        self.retry_after = retry_after


class TooManyClipsError(BusyError):
    """A key has as many unfinished clips as it may have."""
