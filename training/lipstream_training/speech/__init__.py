"""Synthetic speech: sentences, phones, voices, and the audio as simulate_recording."""
