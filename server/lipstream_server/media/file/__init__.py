"""Media files: recordings in, finished clips out."""
