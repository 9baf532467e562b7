"""Everything between the engine and the wire. Never imports torch."""
