"""Configuration files of the agent: read, merged, checked, edited and upgraded (docs/reference/config.md)."""
