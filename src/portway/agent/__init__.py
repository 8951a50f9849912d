"""The SDK: the agent as a library. Its public names are exported lazily by ``portway`` itself."""
