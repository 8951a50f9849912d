"""The REST API: HTTP in, use cases done, JSON out."""
