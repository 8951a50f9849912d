"""The service's composition root: configuration, processes and what joins them."""
