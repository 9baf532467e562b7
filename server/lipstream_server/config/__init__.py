"""Settings: their definitions, their sources and how they are shown. Imports nothing else of the server."""
