"""Certificates: got, kept, and turned into the TLS context of the moment.

The process that serves:
    serving    the context that new connections get; of the store's newest certificate, of files,
               by a CA of its own (`local`), or a stop-gap (`temporary`)
    keeper     watches the store and swaps, asks the own listeners (`probe`), and starts
               the process that issues (`issuance`) when `rules.renewal` says so
The process that issues, short-lived:
    attempt    one attempt under the store's lock: `wanted`, `proof` of the names, `issue`
    acme/      the authority       dns/, propagation, http_01      what proves the names
What both know:
    store      certbot's tree (certbot/) with `state` beside it
Shown to people by `inventory`, `status` and `preflight`.
"""
