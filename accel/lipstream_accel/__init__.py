"""How to sample fast: plans, caches, parallel denoising prediction. Needs torch alone."""
