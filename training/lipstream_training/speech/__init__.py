"""Synthetic speech: sentences, phones, voices, and the audio as recorded."""
