"""The nouns of portway: frozen values without behaviour beyond parsing, and without I/O."""
