"""Sending events to their destinations: choosing, batching, trying again, and counting what came of it."""
