"""What figures were measured on."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path


def machine() -> dict[str, str | int]:
    """date, processor, cores; for a GPU its name is added by whoever measures on it."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "date": str(datetime.date.today()),
        "processor": names[0] if names else platform.machine(),
        "cores": os.cpu_count() or 1,
    }
