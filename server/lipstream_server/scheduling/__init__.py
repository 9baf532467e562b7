"""The loop that owns the device: batches of windows, background admission, capacity."""
