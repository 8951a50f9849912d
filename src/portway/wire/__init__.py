"""The session protocol without I/O: frames, streams, flow control and control messages."""
