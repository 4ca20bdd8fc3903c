"""What there is to say about a request or a tunnel once it is over; the access log reads it."""

from dataclasses import dataclass

from exoproxy.net.dial import Upstream
from exoproxy.net.listen import Peer
from exoproxy.wire.head import RequestHead


@dataclass(slots=True, eq=False)
class Record:
    """One request. Bytes are content without framing; times are seconds of the loop's clock.

    `status` is 0 until a head was sent. `code` is the error's code or empty; `detail` its sentence.
    `request` is None when no valid head came.
    """

    id: str
    site: str
    peer: Peer
    request: RequestHead | None
    started: float
    ended: float = 0.0
    status: int = 0
    upstream: Upstream | None = None
    reused: bool = False
    received: int = 0
    sent: int = 0
    code: str = ""
    detail: str = ""
    tunnel: bool = False
