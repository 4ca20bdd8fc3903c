"""Decisions of the product as pure functions of values; no I/O."""
