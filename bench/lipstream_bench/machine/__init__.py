"""The machine of a measurement, and summaries of many measurements."""
