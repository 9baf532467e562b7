"""Audio decoding and audio encoders. `decode` is free of torch: import its modules, not this package."""
