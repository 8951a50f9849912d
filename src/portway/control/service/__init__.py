"""Use cases, one file a noun: what may be done, and the rules that hold for it."""
