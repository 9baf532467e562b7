"""Scheduling of the device: batches of windows, background admission, window costs and capacity."""
