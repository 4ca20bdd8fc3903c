"""Pages that need a form or a template: an aiohttp application on a private Unix socket.

The engine forwards to it what `routes` says, as to any upstream; it is never reached otherwise.
"""
