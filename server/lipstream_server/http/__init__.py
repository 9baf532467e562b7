"""HTTP below the routes: the server socket, limits, uploads and problem details."""
