"""What the networks are: Hallo-family denoisers, portraits and audio in, pixels out."""
