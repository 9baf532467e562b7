"""The data directory and its database."""
