"""HTTP/1.1 as bytes and values: a strict grammar both ways; no I/O, no settings, no logging."""
