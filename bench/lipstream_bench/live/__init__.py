"""The live server, measured from outside."""
