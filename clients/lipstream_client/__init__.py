"""The `lipstream` command and the Python SDK."""
