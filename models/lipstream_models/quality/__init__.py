"""Quality of generated frames: against the base sampler, against the true video, and as a set."""
