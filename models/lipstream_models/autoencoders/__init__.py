"""Latents to pixels and back: the bundled patch autoencoder and the Stable Diffusion VAE."""
