"""Identity embeddings: InsightFace networks, and the bundled model's geometric embedding."""
