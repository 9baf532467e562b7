"""Description of the machine of a measurement."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path


def machine() -> dict[str, str | int]:
    """Return date, processor and number of cores. Benchmarks on a GPU add its name."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "date": str(datetime.date.today()),
        "processor": names[0] if names else platform.machine(),
        "cores": os.cpu_count() or 1,
    }
