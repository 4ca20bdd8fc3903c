"""What there is to say about a request or a tunnel once it is over; the access log reads it."""

from dataclasses import dataclass

from exoproxy.errors import ProxyError, Side
from exoproxy.net.dial import Upstream
from exoproxy.net.listen import Peer
from exoproxy.wire.head import RequestHead, ResponseHead


@dataclass(slots=True, eq=False)
class Record:
    """One request. Bytes are content without framing, times seconds of the monotonic clock.

    `status` is 0 until a head was sent. `code` is the error's code or empty, `detail` its sentence,
    `side` whose doing it is. `route` is the decision's, `refused` where none was made. `dialled` is
    how long it took to connect to the upstream, 0 where a kept connection was there. `request` is
    None when no valid head came.
    """

    id: str
    site: str
    peer: Peer
    request: RequestHead | None
    started: float
    ended: float = 0.0
    route: str = "refused"
    status: int = 0
    upstream: Upstream | None = None
    reused: bool = False
    dialled: float = 0.0
    received: int = 0
    sent: int = 0
    code: str = ""
    detail: str = ""
    side: str = ""
    tunnel: bool = False

    def failed(self, error: ProxyError) -> None:
        """Say what went wrong, and whose doing it is."""
        self.code, self.detail, self.side = error.code, error.sentence, error.side.value

    def answered_by_own(self, head: ResponseHead) -> None:
        """Say of an answer of a page of ours what went wrong there, if its head tells."""
        code = head.fields.get(b"x-exoproxy-error")
        if code is not None:
            side = Side.CLIENT if head.status < 500 else Side.OWN
            self.code, self.side = code.decode("ascii"), side.value
