"""Analysis of features over the steps of a clip, and search for plans."""
