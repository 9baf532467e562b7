"""The client's own `lipstream` commands, each a plain function."""
