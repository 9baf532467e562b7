"""Webhooks: signed HTTP requests that report the end of a clip to a server of the client."""
