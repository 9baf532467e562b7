"""Pictures and sound to files and streams, and sound from them."""
