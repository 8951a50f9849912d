"""Fuzzing: one target for each parser of bytes from outside. ``python -m fuzz --help`` tells how."""
