"""Names to addresses: memory, one look-up at a time, bounds."""

import asyncio
import errno
import socket
from ipaddress import ip_address
from typing import Any

import pytest

from exoproxy.errors import Overloaded, UpstreamName
from exoproxy.net.resolve import MAX_ADDRESSES, SystemResolver

pytestmark = pytest.mark.usefixtures("no_task_left")


class Names:
    """A getaddrinfo of known names; it counts, and can be held back."""

    def __init__(self, **names: list[str] | Exception) -> None:
        self.names = names
        self.asked: list[str] = []
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, host: str, port: None, *, type: int) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        await self.open.wait()
        found = self.names[host]
        if isinstance(found, Exception):
            raise found
        return [(0, type, 6, "", (address, 0)) for address in found]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_all_addresses_in_order() -> None:
    """Every address of both families is given once, in the system's order."""
    names = Names(a=["2001:db8::2", "192.0.2.1", "192.0.2.1", "fe80::1%eth0"])

    assert await SystemResolver(getaddrinfo=names).resolve("a") == (
        ip_address("2001:db8::2"),
        ip_address("192.0.2.1"),
        ip_address("fe80::1"),
    )


@pytest.mark.parametrize(("after", "questions"), [(0, 1), (29.9, 1), (30, 2)])
async def test_answer_is_kept_30_seconds(after: float, questions: int) -> None:
    """An answer is used for 30 seconds, then the name is asked for again."""
    names, clock = Names(a=["192.0.2.1"]), Clock()
    resolver = SystemResolver(getaddrinfo=names, clock=clock)
    await resolver.resolve("a")
    clock.now += after
    await resolver.resolve("a")

    assert len(names.asked) == questions


@pytest.mark.parametrize(("after", "questions"), [(0.9, 1), (1, 2)])
async def test_failure_is_kept_one_second(after: float, questions: int) -> None:
    """A failure is repeated for one second without asking."""
    names, clock = Names(a=socket.gaierror(socket.EAI_NONAME, "")), Clock()
    resolver = SystemResolver(getaddrinfo=names, clock=clock)
    with pytest.raises(UpstreamName):
        await resolver.resolve("a")
    clock.now += after
    with pytest.raises(UpstreamName):
        await resolver.resolve("a")

    assert len(names.asked) == questions


async def test_forgotten_name_is_asked_again() -> None:
    """After `forget` the next call asks; forgetting an unknown name is no error."""
    names = Names(a=["192.0.2.1"])
    resolver = SystemResolver(getaddrinfo=names)
    await resolver.resolve("a")
    resolver.forget("a")
    resolver.forget("unknown")
    await resolver.resolve("a")

    assert names.asked == ["a", "a"]


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (socket.gaierror(socket.EAI_NONAME, ""), "has no address in the DNS"),
        (socket.gaierror(socket.EAI_AGAIN, ""), "The DNS did not answer"),
        (UnicodeError("label too long"), "has no address in the DNS"),
        (ValueError("embedded null byte"), "has no address in the DNS"),
        (OSError(errno.EMFILE, ""), "has no address in the DNS"),
        ([], "has no address in the DNS"),
    ],
)
async def test_each_failure_has_its_sentence(failure: Any, sentence: str) -> None:
    """Whatever the system says, the error is UpstreamName."""
    with pytest.raises(UpstreamName, match=sentence):
        await SystemResolver(getaddrinfo=Names(a=failure)).resolve("a")


@pytest.mark.parametrize("host", ["a" * 64 + ".invalid", "a..invalid", "", "a\0b"])
async def test_broken_names_stay_here(host: str) -> None:
    """A name that no resolver could be asked for is refused by the system's own function."""
    with pytest.raises(UpstreamName):
        await SystemResolver().resolve(host)


async def test_localhost_is_resolved_by_the_system() -> None:
    """The system's resolver is asked by default."""
    assert ip_address("127.0.0.1") in await SystemResolver().resolve("localhost")


@pytest.mark.parametrize("count", [MAX_ADDRESSES, MAX_ADDRESSES + 1])
async def test_too_many_addresses_are_refused(count: int) -> None:
    """A name with more addresses than anybody wants to judge is refused as a whole."""
    names = Names(a=[f"192.0.2.{number}" for number in range(count)])
    resolver = SystemResolver(getaddrinfo=names)
    if count > MAX_ADDRESSES:
        with pytest.raises(UpstreamName, match="more than 50 addresses"):
            await resolver.resolve("a")
    else:
        assert len(await resolver.resolve("a")) == MAX_ADDRESSES


async def test_one_look_up_for_all_who_wait() -> None:
    """Whoever asks for a name that is being looked up waits for that look-up."""
    names = Names(a=["192.0.2.1"])
    names.open.clear()
    resolver = SystemResolver(getaddrinfo=names)
    waiting = [asyncio.create_task(resolver.resolve("a")) for _ in range(3)]
    await asyncio.sleep(0)
    names.open.set()
    answers = await asyncio.gather(*waiting)

    assert answers == [(ip_address("192.0.2.1"),)] * 3
    assert names.asked == ["a"]


async def test_one_waiter_may_leave() -> None:
    """A waiter that is cancelled takes nothing from the others."""
    names = Names(a=["192.0.2.1"])
    names.open.clear()
    resolver = SystemResolver(getaddrinfo=names)
    first, second = (asyncio.create_task(resolver.resolve("a")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    names.open.set()

    assert await second == (ip_address("192.0.2.1"),)
    assert first.cancelled()
    assert names.asked == ["a"]


async def test_look_up_that_nobody_waits_for_is_used() -> None:
    """A look-up goes on when its only waiter leaves, and answers the next one."""
    names = Names(a=["192.0.2.1"])
    names.open.clear()
    resolver = SystemResolver(getaddrinfo=names)
    first = asyncio.create_task(resolver.resolve("a"))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    names.open.set()
    await resolver.resolve("a")

    assert names.asked == ["a"]


async def test_memory_is_bounded() -> None:
    """The name that was looked up first makes room for the newest."""
    names = Names(a=["192.0.2.1"], b=["192.0.2.2"], c=["192.0.2.3"])
    resolver = SystemResolver(getaddrinfo=names, size=2)
    for host in ("a", "b", "c", "c", "b", "a"):
        await resolver.resolve(host)

    assert names.asked == ["a", "b", "c", "a"]


async def test_look_ups_are_bounded() -> None:
    """When too many names are being looked up, one more is refused; one of them is not."""
    names = Names(a=["192.0.2.1"], b=["192.0.2.2"])
    names.open.clear()
    resolver = SystemResolver(getaddrinfo=names, lookups=1)
    first = asyncio.create_task(resolver.resolve("a"))
    await asyncio.sleep(0)
    second = asyncio.create_task(resolver.resolve("a"))
    with pytest.raises(Overloaded):
        await resolver.resolve("b")
    names.open.set()
    await asyncio.gather(first, second)
    answer = await resolver.resolve("b")

    assert answer == (ip_address("192.0.2.2"),)
