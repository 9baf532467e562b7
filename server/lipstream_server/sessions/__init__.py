"""A WebSocket's conversation, from the connection down to the cutting of windows."""
