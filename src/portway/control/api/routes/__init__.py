"""The routes, one module a noun: read the request, do one use case, show what came of it."""
