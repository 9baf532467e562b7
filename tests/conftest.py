"""Settings of the whole test run."""

import os
import signal

from lipstream_client.core_sharing import share_cores

share_cores(os.environ)  # before any test imports torch: spinning threads cost minutes on a busy machine


def pytest_configure() -> None:
    """Restore Ctrl-C: a shell starts background jobs with SIGINT ignored, and child processes would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
