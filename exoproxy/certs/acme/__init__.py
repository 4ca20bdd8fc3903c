"""Asking an authority for certificates (RFC 8555), within the process that issues.

`session` signs and sends, `authority` knows the resources, `account` has requests signed by an
account, `ari` asks when to renew. `order`, `refusal` and `leaf` are values. What is asked for, and
when, is decided by `certs.issue`.
"""
