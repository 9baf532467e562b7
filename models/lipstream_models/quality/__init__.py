"""How good generated frames are: against base, against a true video, and as a set."""
