"""portway: put a local service on the internet through your own server."""
