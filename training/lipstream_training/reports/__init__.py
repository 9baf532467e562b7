"""What is drawn and printed to look at."""
