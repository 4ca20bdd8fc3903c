"""How much and how long: caps, sizes and timeouts, each with its reason."""

from exoproxy.settings.part import Part
from exoproxy.settings.types import (
    Answers,
    Bytes,
    BytesOrNone,
    Connections,
    ConnectionsOrNone,
    FieldCount,
    HeadBytes,
    Probes,
    ProbeSeconds,
    Refusals,
    Seconds,
    SecondsOrNone,
    UserTimeout,
)


class Limits(Part):
    """Caps, sizes and timeouts: seconds, bytes and counts. The defaults suit a campus."""

    connections: Connections = 10_000
    """Clients' connections at once. As they get near, those that idle are closed, the longest
    idle first; beyond them new ones get 503, and beyond a twentieth more new ones wait. One that
    idles costs about 30 KB. Raise the process's limit of open files along with it: a proxied
    connection needs two."""

    connections_per_client: Connections = 1_000
    """Connections at once from one client address (IPv6: one /64); more get 503, and beyond twice
    as many are closed without an answer. High, because a whole campus may stand behind one
    address; much lower, and its users lock each other out."""

    connections_per_upstream: Connections = 512
    """Connections at once to one upstream (host and port); more requests get 503. It keeps a slow
    API server from being buried, and one instance from taking every port of this host."""

    refusals_per_client: Refusals = 300
    """Requests of one client address (IPv6: one /64) that may be refused in a minute, as those of
    scanners are: unknown names, forbidden targets, requests that are no HTTP. What else would be
    refused then gets a short 429; what is allowed goes on, so that a scanner locks nobody out. 0
    for no limit. Much lower, and users behind one address see the 429 instead of the reason why
    their own request was refused."""

    request_target: HeadBytes = 32_768
    """Bytes of a request's path and query; more gets 414. Logins send tokens in them."""

    request_field: HeadBytes = 32_768
    """Bytes of one header field of a request; more gets 431. Cookies and tokens are long."""

    request_head: HeadBytes = 65_536
    """Bytes of a whole request head; more gets 431. Each connection may hold that much at once."""

    request_fields: FieldCount = 100
    """Header fields of one request; more gets 431. A browser sends about 20."""

    response_field: HeadBytes = 65_536
    """Bytes of one header field of an upstream's answer; more gives 502. Login cookies and content
    security policies are often longer than the 8 KB that other proxies take."""

    response_head: HeadBytes = 262_144
    """Bytes of the whole head of an upstream's answer; more gives 502."""

    response_fields: FieldCount = 256
    """Header fields of one answer; more gives 502."""

    body: BytesOrNone = 0
    """Bytes of a request's content, 0 for no limit; more gets 413. Contents are streamed and never
    kept, so images and data sets of any size may pass; a limit breaks such uploads."""

    buffer_low: Bytes = 65_536
    """Bytes waiting for a slow receiver below which its sender is read again."""

    buffer_high: Bytes = 262_144
    """Bytes waiting for a slow receiver above which its sender is no longer read; per connection
    and direction, so it bounds the memory. Below 64 KiB downloads get slower."""

    handshake_timeout: Seconds = 10
    """Seconds for a client's TLS handshake. Longer lets silent connections pile up."""

    head_timeout: Seconds = 15
    """Seconds from a request's first byte to the end of its head; later gets 408. It is a total,
    so that a client that sends a byte now and then can't hold a connection for ever."""

    body_timeout: Seconds = 300
    """Seconds without a byte of a content, in either direction. It is no total: an upload that
    moves may take hours."""

    connect_timeout: Seconds = 10
    """Seconds to connect to an upstream, TLS handshake included; later gives 504. An instance that
    is shut down often answers nothing at all, so this is what its user waits for."""

    answer_timeout: Seconds = 300
    """Seconds from the end of a request to the head of its answer; later gives 504. Notebooks and
    some API calls think for minutes."""

    idle_timeout: Seconds = 75
    """Seconds that a client's connection is kept open between requests. Browsers use it again
    within a minute; longer costs memory."""

    upstream_idle_timeout: Seconds = 55
    """Seconds that an upstream's connection is kept for the next request: less than the usual
    servers' 60 to 75, so that we close first and no request meets a closing connection."""

    upstream_idle_connections: ConnectionsOrNone = 64
    """Idle connections kept per upstream, 0 for none. The client sends bursts of 36 to 60 calls;
    with fewer kept, each burst pays for new TLS handshakes."""

    upstream_idle_total: ConnectionsOrNone = 1_024
    """Idle connections kept for all upstreams together, 0 for none."""

    tunnel_idle_timeout: SecondsOrNone = 0
    """Seconds without a byte after which a websocket is closed, 0 for never. Desktops and shells
    are silent for hours; peers that are gone are found by the keep-alive probes below."""

    half_close_timeout: Seconds = 30
    """Seconds that one side of a websocket's connection may go on after the other has ended."""

    linger_timeout: Seconds = 10
    """Seconds to go on reading from a client that got an error before it had sent everything: it
    would else lose the answer to a reset."""

    linger_bytes: Bytes = 1_048_576
    """Bytes to go on reading in that case."""

    interim_responses: Answers = 8
    """Answers such as 103 (early hints) that one request may get before the final one; more
    gives 502."""

    drain: SecondsOrNone = 30
    """Seconds that requests and websockets get to end when the service stops; the rest is then
    cut. systemd's TimeoutStopSec must be longer."""

    handover: SecondsOrNone = 43_200
    """Seconds that websockets may stay with the process before an upgrade that was handed over
    (SIGUSR2). Meanwhile that process takes about 60 MB, and its code is the old one."""

    keepalive_idle: ProbeSeconds = 60
    """Seconds of silence after which TCP probes whether the peer is still there."""

    keepalive_interval: ProbeSeconds = 15
    """Seconds between two such probes."""

    keepalive_probes: Probes = 4
    """Probes without an answer after which a peer counts as gone."""

    user_timeout: UserTimeout = 120
    """Seconds that sent bytes may stay without a receipt until the connection is given up; the
    kernel's own limit is about 15 minutes."""
