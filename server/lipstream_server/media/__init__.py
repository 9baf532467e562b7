"""Video and audio: encoding to files and live streams, decoding of audio."""
