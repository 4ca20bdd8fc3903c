"""The status of a running process as one value: what the page shows, and what /status.json gives.

`exoproxy status` reads it from another process, which may be of another version: `parse` judges
it. Moments are ISO 8601 in UTC, lengths of time in seconds (float), sizes in bytes. Text from
outside is escaped before it comes here (`rules.redaction`); who shows it escapes for its own form.
"""

import json
from typing import Annotated, Any, Final, Literal, cast

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

# pydantic reads the annotations of typing's own from Python 3.12 on only.
from typing_extensions import TypedDict

from exoproxy.admin.figures import moment


def _moment(text: str) -> str:
    try:
        moment(text)
    except ValueError:
        # Not the text itself, which datetime's own words hold.
        raise ValueError("not a moment with its zone, in ISO 8601") from None
    return text


# JSON has no bound, and what is shown is computed with.
Count = Annotated[int, Field(ge=0, lt=2**63)]
Seconds = Annotated[float, Field(ge=0, lt=2**63, allow_inf_nan=False)]
Moment = Annotated[str, AfterValidator(_moment)]


class Health(TypedDict):
    """`problems` are sentences that say what to do; `ok` is that there are none."""

    ok: bool
    problems: list[str]


class Configuration(TypedDict):
    """The file in use; `problem` is why its newer content is not, `pending` waits for a restart."""

    file: str
    loaded: Moment
    problem: str | None
    pending: list[str]


class Certificate(TypedDict):
    """The certificate that is served, and what comes next for it."""

    names: list[str]
    source: Literal["acme", "local", "files"]
    issuer: str
    temporary: bool
    not_before: Moment
    not_after: Moment
    stored_not_after: Moment | None
    days_left: Annotated[float, Field(ge=-1e6, le=1e6)]
    served_is_stored: bool
    next: str | None
    failures: Count
    last_error: str | None


class Connections(TypedDict):
    """Connections of clients and to upstreams: open now, and counts since the start."""

    clients: Count
    limit: Count
    accepted: Count
    refused: Count
    handshake_failures: Count
    upstream_open: Count
    upstream_idle: Count


class Age(TypedDict):
    """How many tunnels are younger than `up_to` and no younger than the one before it."""

    up_to: Seconds | None
    count: Count


class Tunnel(TypedDict):
    """One open tunnel; as everywhere, `received` came from the client and `sent` went to it."""

    upstream: str
    client: str
    age: Seconds
    received: Count
    sent: Count


class Tunnels(TypedDict):
    """The open tunnels: how many, by age, and the oldest."""

    open: Count
    ages: list[Age]
    oldest: list[Tunnel]


class Totals(TypedDict):
    """Counts since the start."""

    requests: Count
    client_errors: Count
    upstream_errors: Count
    own_errors: Count
    refused: Count
    received: Count
    sent: Count
    reused: Count
    dialled: Count
    cookies_changed: Count


class Minute(TypedDict):
    """One minute's traffic; `median` and `p99` are None where nothing was measured."""

    minute: Moment
    requests: Count
    client_errors: Count
    upstream_errors: Count
    own_errors: Count
    refused: Count
    received: Count
    sent: Count
    median: Seconds | None
    p99: Seconds | None


class Route(TypedDict):
    """The last hour's traffic of one route."""

    route: str
    requests: Count
    errors: Count
    median: Seconds | None
    p99: Seconds | None


class Failure(TypedDict):
    """An error, by its code."""

    code: str
    at: Moment


class Upstream(TypedDict):
    """Connections to one upstream, and how it failed."""

    upstream: str
    open: Count
    idle: Count
    failures: Count
    last_failure: Failure | None


class Refusal(TypedDict):
    """Requests of the last hour that were refused for one reason; `explain` is a command line."""

    code: str
    sentence: str
    hint: str
    count: Count
    last: Moment
    target: str
    explain: str


class Learned(TypedDict):
    """An endpoint that an allowed Keystone named in a catalogue."""

    endpoint: str
    by: str
    last_named: Moment
    expires: Moment


class Client(TypedDict):
    """The Exosphere client that is served; `release` is None where none is installed by name."""

    root: str
    release: str | None
    installed: Moment | None


class Status(TypedDict):
    """All of it. `learned` and `client` are None where the mode has none."""

    version: str
    mode: Literal["main", "uap"]
    region: str | None
    hostname: str
    started: Moment
    now: Moment
    state: Literal["serving", "draining"]
    health: Health
    configuration: Configuration
    certificate: Certificate
    connections: Connections
    tunnels: Tunnels
    totals: Totals
    hour: Annotated[list[Minute], Field(max_length=60)]
    routes: list[Route]
    upstreams: list[Upstream]
    refusals: list[Refusal]
    learned: list[Learned] | None
    client: Client | None


_STATUS: Final[TypeAdapter[Status]] = TypeAdapter(Status)


def parse(content: bytes) -> Status:
    """Return the status that JSON holds; keys that this version doesn't know stay in it.

    Raises ValueError with what is wrong, in words that hold nothing of the content but names.
    """
    try:
        value: Any = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    try:
        _STATUS.validate_python(value)
    except ValidationError as errors:
        first = errors.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise ValueError(f"{place}: {first['msg']}") from None
    return cast("Status", value)
