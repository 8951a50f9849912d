"""The control plane: accounts, keys, names and certificates, in a process of its own."""
