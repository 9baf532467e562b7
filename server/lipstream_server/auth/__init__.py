"""API keys, session tokens and rate limits."""
