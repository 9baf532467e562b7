"""Training of the bundled autoencoder: principal components as the encoder, a trained decoder."""
