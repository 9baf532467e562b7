"""Training of the audio projection and the diffusion model."""
