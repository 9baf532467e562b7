"""HTTP and WebSocket: the application, its routes, and the middleware before them."""
