"""What is open, summed over the sites of a process."""

from exoproxy.admin import connections
from exoproxy.net.dial import OWN, Upstream
from process import INSTANCE, server, tunnel

ANOTHER = INSTANCE._replace(port=1)


def test_sums_over_sites() -> None:
    """Accepted, refused and failed connections of all sockets; bytes of all open tunnels."""
    servers = [
        server([tunnel(1, received=1, sent=10)], accepted=5, refused=1, failures=2),
        server([tunnel(2, received=2, sent=20)], accepted=7),
    ]

    assert connections.accepted(servers) == connections.Accepted(
        accepted=12, arriving=2, refused=1, handshake_failures=2
    )
    assert connections.tunnelled(servers) == (3, 30)
    assert len(list(connections.tunnels(servers))) == 2
    assert connections.tunnelled([]) == (0, 0)


def test_upstreams_of_all_sites() -> None:
    """One that several sites talk to is one; pages of our own are none."""
    one, other = server(), server()
    one.engine.pool.opened(INSTANCE)
    other.engine.pool.opened(INSTANCE)
    other.engine.pool.opened(Upstream(OWN, "pages", 0, verify=False))

    other.engine.pool.opened(ANOTHER)

    assert connections.upstreams([one, other]) == (4, 0)
    assert connections.to_upstream([one, other], INSTANCE) == (2, 0)
    assert connections.busiest([one, other], 9) == [INSTANCE, ANOTHER]
    assert connections.busiest([one, other], 1) == [INSTANCE]
