"""HTTP and WebSocket: the application, its routes, and what stands before them."""
