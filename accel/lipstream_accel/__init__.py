"""Accelerated sampling of diffusion models: plans, feature caches, parallel denoising prediction. Depends on torch only."""
