"""The layers around the routes, each an ASGI middleware."""
