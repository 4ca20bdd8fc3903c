"""DNS records that prove to an ACME authority who holds a name (RFC 8555 section 8.4)."""
