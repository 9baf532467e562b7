"""The stages of a training that are not optimisation: speech features, rendering, encoding, export, restoring."""
