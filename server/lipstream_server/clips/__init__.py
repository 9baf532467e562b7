"""Videos that are made in the background, from the posted form to the finished file."""
