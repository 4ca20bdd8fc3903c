"""Places for connections, in all and per client."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

import pytest

from exoproxy.net.caps import Caps, Slot

# The fewest that are let in beyond the total.
TOLD = 8


@dataclass(eq=False)
class Connection:
    """A connection that idles; `slot` is its place."""

    idle_since: float
    slot: Slot
    ended: bool = False

    def retire(self) -> None:
        self.ended = True


class House:
    """Caps whose connections all idle, and their clock."""

    def __init__(self, total: int) -> None:
        self.now = 0.0
        self.caps = Caps(total=total, per_client=total, clock=lambda: self.now)
        self.looks = 0
        self.connections: list[Connection] = []
        self.caps.reclaim_from(self.idle)

    def idle(self) -> list[Connection]:
        self.looks += 1
        return [each for each in self.connections if not each.ended]

    def enter(self, idle_since: float) -> Slot:
        slot = self.caps.enter()
        self.connections.append(Connection(idle_since, slot))
        return slot

    def ended(self) -> list[float]:
        return [each.idle_since for each in self.connections if each.ended]


def test_total_is_counted() -> None:
    """Beyond the places some more enter, to be refused; then a cap is full until one leaves."""
    caps = Caps(total=2, per_client=10)
    slots = [caps.enter() for _ in range(2 + TOLD)]
    full = caps.full
    slots[0].release()

    assert [slot.excess is not None for slot in slots] == [False] * 2 + [True] * TOLD
    assert (full, caps.full, caps.open) == (True, False, 1 + TOLD)


@pytest.mark.parametrize(("total", "told"), [(1, 8), (100, 8), (1000, 50), (10_000, 500)])
def test_those_who_are_told_are_a_twentieth(total: int, told: int) -> None:
    """And eight at least."""
    caps = Caps(total=total, per_client=2 * total)
    entered = 0
    while not caps.full:
        caps.enter()
        entered += 1

    assert entered == total + told


def test_idle_connections_make_room() -> None:
    """The longest idle end first, one for each that enters above the mark, so that none is told."""
    house = House(total=100)
    slots = [house.enter(float(1000 - number)) for number in range(95)]
    assert house.ended() == []
    slots.extend(house.enter(2000.0) for number in range(3))

    assert house.ended() == [908.0, 907.0, 906.0]
    assert all(slot.excess is None for slot in slots)


def test_who_comes_while_an_idle_connection_leaves_waits_for_it() -> None:
    """Nobody is told that there is no room for as long as some is about to be free."""
    house = House(total=1)
    house.enter(0.0)
    house.now = 1.0
    house.enter(1.0)
    waits = house.caps.full
    house.connections[0].slot.release()

    assert house.ended() == [0.0]
    assert (waits, house.caps.full) == (True, False)


def test_looking_for_idle_connections_in_vain_has_its_pause() -> None:
    """With a crowd that never idles, each new client must not cost a look at all of them."""
    house = House(total=20)
    for _ in range(25):
        house.caps.enter()
    looks = house.looks
    house.now = 1.0
    house.caps.enter()

    assert (looks, house.looks) == (1, 2)


def test_release_counts_once() -> None:
    """A place that is given back twice is one place."""
    caps = Caps(total=2, per_client=10)
    first, _ = caps.enter(), caps.enter()
    first.claim(IPv4Address("192.0.2.1"))
    first.release()
    first.release()

    assert caps.open == 1


def test_client_over_its_cap() -> None:
    """It is told; above twice the cap it is not worth that."""
    caps = Caps(total=9, per_client=1)
    slots = [caps.enter() for _ in range(3)]
    worth = [slot.claim(IPv6Address("2001:db8::1")) for slot in slots]

    assert worth == [True, True, False]
    assert [slot.excess is not None for slot in slots] == [False, True, True]


def test_client_that_left_is_forgotten() -> None:
    """A client's count begins anew when its last connection has ended."""
    caps = Caps(total=9, per_client=9)
    address = IPv6Address("2001:db8::1")
    slots = [caps.enter() for _ in range(3)]
    for slot in slots:
        slot.claim(address)
    for slot in slots:
        slot.release()

    assert caps._clients == {}


def test_waiting_are_called_once() -> None:
    """Who waits for room is called at the next release, and not again."""
    caps = Caps(total=2, per_client=9)
    slots = [caps.enter(), caps.enter()]
    calls: list[str] = []
    caps.when_room(lambda: calls.append("room"))
    for slot in slots:
        slot.release()

    assert calls == ["room"]


def test_caps_may_change() -> None:
    """Other limits hold for whoever enters from then on."""
    caps = Caps(total=1, per_client=1)
    caps.enter()
    before = caps.enter().excess
    calls: list[str] = []
    caps.when_room(lambda: calls.append("room"))
    caps.adopt(total=3, per_client=1)

    assert before is not None
    assert calls == ["room"]
    assert caps.enter().excess is None
    assert caps.enter().excess is not None
