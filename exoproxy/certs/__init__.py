"""Certificates: made, loaded, and turned into the TLS context of the moment."""
