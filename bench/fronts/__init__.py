"""Who is measured, in the order of their turns; each in one process (or two) on one core.

All do what an Exosphere deployment needs: the client's files, the Cloud CORS Proxy at `/proxy`,
instances by their names under the UAP, and an access log. None has more than one thread of work.
"""

from bench.fronts import caddy, exoproxy, haproxy, nginx, reference

PEERS = (
    *nginx.PEERS,
    *haproxy.PEERS,
    *caddy.PEERS,
    *reference.PEERS,
    *exoproxy.PEERS,
)
