"""Talking-head models of the Hallo family: networks, weights, and the pipeline from portrait and audio to frames."""
