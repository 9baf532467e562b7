"""Machine description, memory measurement and quantiles."""
