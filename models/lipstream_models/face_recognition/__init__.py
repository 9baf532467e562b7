"""Identity embeddings from InsightFace's networks."""
