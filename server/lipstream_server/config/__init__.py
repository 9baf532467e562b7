"""Settings: their definitions, sources and effective values."""
