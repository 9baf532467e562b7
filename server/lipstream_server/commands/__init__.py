"""Commands of `lipstream` that are not a client's."""
