"""Reading, checking, converting and writing network weights."""
