"""Training of the audio projection, the audio-to-blendshapes network and the diffusion model."""
