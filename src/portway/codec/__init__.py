"""Other people's protocols and formats, without I/O: bytes in, values or one documented error out.

Everything here is pure: no socket, no clock, no randomness. Each parser takes bytes that a
stranger sent, and answers in bounded time and memory with a value, with None for "need more", or
with the one error that its docstring names. ``fuzz/`` holds each of them to that.
"""
