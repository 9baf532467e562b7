"""API keys, session tokens, rate limits and allowed origins."""
