"""The `lipstream` commands of this room, each a plain function."""
