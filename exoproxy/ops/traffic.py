"""What has passed so far, in plain numbers: every finished request is counted here.

`Traffic.count` stands on the hot path, so a request costs one look-up and a handful of additions;
sums, labels and everything by time are made by those who read (`figures`, `admin`). What fails or
is refused costs more: it is also ranked, for who asks what goes wrong and to whom.

Nothing that a client or an instance says becomes a key here: sites, routes, sides and codes are
words of our own, and a status that nobody has registered counts by its class.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Final

from exoproxy.errors import ClientError, ClientGone, NotFound, Overloaded, ProxyError, Side
from exoproxy.net.dial import OWN, Upstream
from exoproxy.ops.ranking import Ranking, Recent
from exoproxy.proxy.record import Record
from exoproxy.rules.redaction import escape

# Seconds: how long requests take, and dials. From a file in memory to the longest answer that
# `limits.answer_timeout` lets an upstream think about.
DURATIONS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
# Seconds: how long websockets live. A look, a session, a working day.
AGES: Final = (60.0, 600.0, 3600.0, 28_800.0)

# Rows of the rankings: upstreams that fail, and targets that are refused, for each code.
MOST_UPSTREAMS: Final = 256
MOST_TARGETS: Final = 64

_REGISTERED: Final = {status.value: str(status.value) for status in HTTPStatus}
_CONTROL_HOST: Final = b"exo-proxy-orig-host"
_CONTROL_PORT: Final = b"exo-proxy-orig-port"


def _below(error: type[ProxyError]) -> Iterator[type[ProxyError]]:
    for each in error.__subclasses__():
        yield each
        yield from _below(each)


ERRORS: Final[Mapping[str, type[ProxyError]]] = {
    each.code: each for each in _below(ProxyError) if "code" in vars(each)
}
"""Every error that an answer can name, by its code."""

_NO_REFUSALS: Final = (ClientGone, NotFound)
REFUSALS: Final = frozenset(
    code
    for code, error in ERRORS.items()
    if (issubclass(error, ClientError) or error is Overloaded) and error not in _NO_REFUSALS
)
"""The codes of requests that were turned away, which a user may ask about. To find nothing at an
address is no refusal, nor is to leave."""


class Way:
    """The requests of one site and route that came to the same end."""

    __slots__ = ("code", "durations", "route", "seconds", "side", "site")

    def __init__(self, site: str, route: str, code: str, side: str) -> None:
        self.site = site
        self.route = route
        self.code = code
        self.side = side
        self.durations = [0] * (len(DURATIONS) + 1)
        self.seconds = 0.0


class Traffic:
    """Counts that only grow, and two rankings of the last hour.

    `clock` is the one that records are timed by: the loop's.
    """

    __slots__ = (
        "_ways",
        "ages",
        "ages_seconds",
        "clock",
        "dial_seconds",
        "dialled",
        "dials",
        "errors",
        "failing",
        "received",
        "refused",
        "refused_targets",
        "reused",
        "sent",
        "ways",
    )

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.ways: list[Way] = []
        self._ways: dict[tuple[str, str, int, str], Way] = {}
        # Bytes of content; those of tunnels once they are closed.
        self.received = 0
        self.sent = 0
        # Requests that a kept connection carried, and those that had to wait for one.
        self.reused = 0
        self.dialled = 0
        self.dials = [0] * (len(DURATIONS) + 1)
        self.dial_seconds = 0.0
        # Closed tunnels by age.
        self.ages = [0] * (len(AGES) + 1)
        self.ages_seconds = 0.0
        self.errors = dict.fromkeys(ERRORS, 0)
        self.failing: Ranking[Upstream] = Ranking(MOST_UPSTREAMS)
        self.refused: dict[str, Recent] = {}
        self.refused_targets: dict[str, Ranking[str]] = {}

    def count(self, record: Record) -> None:
        """Count a finished request, or a tunnel that was closed."""
        if record.tunnel:
            self._closed(record)
            return
        seconds = record.ended - record.started
        way = self._ways.get((record.site, record.route, record.status, record.side))
        if way is None:
            way = self._way(record)
        way.durations[bisect_left(DURATIONS, seconds)] += 1
        way.seconds += seconds
        self.received += record.received
        self.sent += record.sent
        if record.reused:
            self.reused += 1
        elif record.upstream is not None:
            self._dialled(record)
        if record.code:
            self._failed(record)

    def _way(self, record: Record) -> Way:
        """Return where a request is counted for the first time: later ones find it by their key."""
        key = (record.site, record.route, record.status, record.side)
        words = (record.site, record.route, code_of(record.status), record.side)
        for way in self.ways:
            if (way.site, way.route, way.code, way.side) == words:
                break
        else:
            way = Way(*words)
            self.ways.append(way)
        self._ways[key] = way
        return way

    def _closed(self, record: Record) -> None:
        # `started` is the request's; the handshake counts as part of a tunnel's age.
        seconds = record.ended - record.started
        self.ages[bisect_left(AGES, seconds)] += 1
        self.ages_seconds += seconds
        self.received += record.received
        self.sent += record.sent

    def _dialled(self, record: Record) -> None:
        # The clock's steps are milliseconds, so that a dial may seem to take no time at all; one
        # that failed tells nothing about how long dials take.
        if record.dialled or not record.code:
            self.dialled += 1
            self.dials[bisect_left(DURATIONS, record.dialled)] += 1
            self.dial_seconds += record.dialled

    def _failed(self, record: Record) -> None:
        code, upstream = record.code, record.upstream
        self.errors[code] += 1
        if code in REFUSALS:
            if code not in self.refused:
                self.refused[code] = Recent()
                self.refused_targets[code] = Ranking(MOST_TARGETS)
            self.refused[code].add(record.ended, record.detail)
            self.refused_targets[code].add(target_of(record), record.ended, record.detail)
        elif record.side == Side.UPSTREAM.value and upstream is not None and upstream.scheme != OWN:
            self.failing.add(upstream, record.ended, code)


def code_of(status: int) -> str:
    """Return the label for a status, which an upstream may have made up.

    As it is if it is registered, `none` if no answer was sent, else its class, e.g. `2xx`.
    """
    if not status:
        return "none"
    return _REGISTERED.get(status) or f"{status // 100}xx"


def target_of(record: Record) -> str:
    """Return what a request was for, escaped: its host, for the CCP the API's `host:port`.

    Empty where no head tells.
    """
    request = record.request
    if request is None:
        return ""
    host = request.fields.get(_CONTROL_HOST) if record.site == "main" else None
    if host is None:
        return escape(request.authority.host.encode())
    port = request.fields.get(_CONTROL_PORT) or b""
    return escape(b"%b:%b" % (host, port) if port else host)
