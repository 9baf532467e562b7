"""Training of the bundled autoencoder."""
