"""How features change over the steps of a clip, and the search for plans."""
