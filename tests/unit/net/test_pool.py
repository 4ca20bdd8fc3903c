"""Keeping upstream connections: which one is used, how many are kept, and for how long."""

from dataclasses import dataclass

import pytest

from exoproxy.net.dial import Upstream
from exoproxy.net.pool import FRESH, Pool, assign

ONE = Upstream("https", "a.example.org", 443, verify=True)
# Each differs from the first in one way, and must not be served by its connections.
OTHERS = (
    ONE._replace(scheme="http"),
    ONE._replace(host="b.example.org"),
    ONE._replace(port=8443),
    ONE._replace(verify=False),
)
TIMEOUT = 55.0


@dataclass(eq=False)
class Connection:
    """A connection that tells whether it was ended."""

    idle_since: float = 0.0
    ended: bool = False

    def retire(self) -> None:
        self.ended = True


def pool(per_upstream: int = 3, total: int = 5) -> Pool[Connection]:
    return Pool(idle_timeout=TIMEOUT, per_upstream=per_upstream, total=total)


def keep(pool: Pool[Connection], upstream: Upstream, now: float) -> Connection:
    connection = Connection()
    pool.put(upstream, connection, now)
    return connection


@pytest.mark.parametrize(
    ("idle_since", "repeatable", "now", "expected"),
    [
        ([], True, 0.0, -1),
        ([10.0, 20.0, 30.0], True, 31.0, 2),
        ([10.0, 20.0, 30.0], False, 30.0 + FRESH / 2, 2),
        ([10.0, 20.0, 30.0], False, 30.0 + FRESH, -1),
        ([30.0], True, 30.0 + TIMEOUT - 0.1, 0),
        ([30.0], True, 30.0 + TIMEOUT, -1),
    ],
)
def test_the_one_used_last_is_used_again(
    idle_since: list[float], repeatable: bool, now: float, expected: int
) -> None:
    """If it is not too old; a request that must not be sent twice takes only a fresh one."""
    idle = [Connection(since) for since in idle_since]

    assert assign(idle, repeatable=repeatable, now=now, idle_timeout=TIMEOUT) == expected


def test_a_connection_is_lent_once() -> None:
    """Who takes it has it alone, until it is put back."""
    kept = pool()
    connection = keep(kept, ONE, 1.0)

    assert kept.take(ONE, repeatable=True, now=2.0) is connection
    assert kept.take(ONE, repeatable=True, now=2.0) is None
    assert len(kept) == 0
    kept.put(ONE, connection, 3.0)
    assert connection.idle_since == 3.0
    assert kept.take(ONE, repeatable=True, now=4.0) is connection


@pytest.mark.parametrize("other", OTHERS, ids=repr)
def test_upstreams_never_share(other: Upstream) -> None:
    """Scheme, host, port and verification all count."""
    kept = pool()
    keep(kept, other, 1.0)

    assert kept.take(ONE, repeatable=True, now=1.0) is None


def test_a_bound_for_each_upstream() -> None:
    """One more than that is ended, and others' are kept."""
    kept = pool(per_upstream=2)
    mine = [keep(kept, ONE, float(now)) for now in range(3)]
    other = keep(kept, OTHERS[0], 3.0)

    assert [connection.ended for connection in mine] == [False, False, True]
    assert not other.ended
    assert len(kept) == 3
    assert set(kept) == {mine[0], mine[1], other}


def test_a_bound_for_all() -> None:
    """A new upstream's connection is ended as well when the pool is full."""
    kept = pool(total=2)
    connections = [keep(kept, upstream, 1.0) for upstream in OTHERS[:3]]

    assert [connection.ended for connection in connections] == [False, False, True]
    assert kept.take(OTHERS[2], repeatable=True, now=1.0) is None
    assert kept.take(OTHERS[0], repeatable=True, now=1.0) is connections[0]
    assert not keep(kept, OTHERS[3], 1.0).ended


def test_old_ones_are_ended() -> None:
    """Before the upstream does it, and while nobody asks for them."""
    kept = pool()
    old, young = keep(kept, ONE, 0.0), keep(kept, ONE, 1.0)
    other = keep(kept, OTHERS[0], 0.0)
    kept.expire(TIMEOUT - 0.1)

    assert not old.ended
    kept.expire(TIMEOUT)

    assert (old.ended, young.ended, other.ended) == (True, False, True)
    assert set(kept) == {young}


def test_one_that_ended_by_itself_is_forgotten() -> None:
    """Its place is free; forgetting one that is lent or unknown does nothing."""
    kept = pool(per_upstream=1)
    gone = keep(kept, ONE, 1.0)
    kept.discard(ONE, Connection())
    kept.discard(OTHERS[0], gone)

    assert len(kept) == 1
    kept.discard(ONE, gone)
    kept.discard(ONE, gone)

    assert len(kept) == 0
    assert not gone.ended
    assert not keep(kept, ONE, 2.0).ended


def test_clearing_ends_all() -> None:
    """At the end of a process, and when what may be dialled changes."""
    kept = pool()
    connections = [keep(kept, upstream, 1.0) for upstream in (ONE, ONE, OTHERS[0])]
    kept.clear()

    assert all(connection.ended for connection in connections)
    assert (len(kept), list(kept)) == (0, [])


def test_open_ones_are_counted() -> None:
    """For each upstream; those in use are the open ones less the idle ones."""
    kept = pool()

    assert [kept.opened(ONE), kept.opened(ONE), kept.opened(OTHERS[0])] == [1, 2, 1]
    assert kept.in_use() == 3
    keep(kept, ONE, 1.0)
    assert kept.in_use() == 2
    kept.closed(ONE)
    kept.closed(OTHERS[0])
    assert kept.opened(ONE) == 2
    assert kept.opened(OTHERS[0]) == 1


def test_longest_idle_gives_way() -> None:
    """Only to a connection to the same upstream, and only while there is one."""
    kept = pool()
    first, second = keep(kept, ONE, 1.0), keep(kept, ONE, 2.0)

    assert (kept.give_way(OTHERS[0]), kept.give_way(ONE)) == (False, True)
    assert (first.ended, second.ended, len(kept)) == (True, False, 1)
    assert (kept.give_way(ONE), kept.give_way(ONE)) == (True, False)


def test_an_upstream_without_connections_is_forgotten() -> None:
    """Names come from clients: what they leave behind must be bounded."""
    for kept in (pool(), pool(total=0)):
        for number in range(100):
            upstream = ONE._replace(port=number + 1)
            kept.opened(upstream)
            keep(kept, upstream, 1.0)
            kept.take(upstream, repeatable=True, now=1.0)
            kept.closed(upstream)

        assert (kept._open, kept._idle) == ({}, {})  # nothing else shows it


def test_tells_what_is_open_by_upstream() -> None:
    """Open connections count with those that are being dialled; idle ones are among them."""
    kept = pool()
    for upstream in (OTHERS[0], ONE, ONE, OTHERS[1]):
        kept.opened(upstream)
    keep(kept, ONE, 1.0)

    assert kept.of(ONE) == (2, 1)
    assert kept.of(OTHERS[0]) == (1, 0)
    assert kept.of(OTHERS[2]) == (0, 0)
    assert kept.busiest(1) == [ONE]
    assert set(kept.busiest(9)) == {ONE, OTHERS[0], OTHERS[1]}
