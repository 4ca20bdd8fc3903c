"""Sockets and addresses on asyncio; plain values in, no settings."""
