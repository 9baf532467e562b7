"""Who may come in: keys, tokens, origins, limits."""
