"""ISO BMFF and Matroska, as far as live fragments and labels need them."""
