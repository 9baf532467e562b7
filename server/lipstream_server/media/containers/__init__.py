"""ISO BMFF and Matroska, as far as live fragments, growing files and labels need them."""
