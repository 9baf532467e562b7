"""Autoencoders: the bundled patch autoencoder and the Stable Diffusion VAE, behind one codec interface."""
