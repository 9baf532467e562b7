"""Pieces of HTTP under the routes: the listening server, limits, uploads, problem details."""
