"""Clips: videos rendered in the background, from the accepted recording to the finished file."""
