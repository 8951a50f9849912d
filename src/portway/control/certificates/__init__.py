"""Certificates: the local authority and what it issues."""
