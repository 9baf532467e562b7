"""The training loop, its checkpoints, the optimisers and the worker processes."""
