"""certbot's way of keeping certificates, which is ours, too: both can go on where the other ended.

`lineage` finds what there is, `lock` keeps the two apart, `renewal_conf` and `accounts` are what
certbot reads, `takeover` begins with what it wrote. What is written, and in which order, is in
`certs.store`.
"""
