"""Settings of the whole test run."""

import signal

from lipstream_models.device.openmp_tuning import tune_openmp

tune_openmp()  # before any test imports torch: spinning threads cost minutes on a busy machine


def pytest_configure() -> None:
    """Restore Ctrl-C: a shell starts background jobs with SIGINT ignored, and child processes would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
