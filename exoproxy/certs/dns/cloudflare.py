"""TXT records in a zone at Cloudflare, by Cloudflare's own SDK.

The SDK weighs 54 MB of memory: `providers` imports this module only where it is needed, and never
in a process that serves. Whatever the SDK raises leaves here as an `IssuanceProblem`; what
Cloudflare answers is judged by its error codes, for one status means many things.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import cloudflare
import httpx
from pydantic import SecretStr

from exoproxy.certs.dns.provider import Record
from exoproxy.certs.problem import IssuanceProblem
from exoproxy.rules.printable import printable

API_URL: Final = "https://api.cloudflare.com/client/v4"
# As short as Cloudflare takes it, so that a leftover value misleads nobody for long.
_TTL: Final = 60
_COMMENT: Final = "ACME challenge, by exoproxy"
_TIMEOUT_SECONDS: Final = 20.0
# Cloudflare shuts out who asked too often for five minutes.
_BLOCK_SECONDS: Final = 300.0
_DAY_SECONDS: Final = 86400.0

# Error codes of Cloudflare's API. By "exists" it means this name with this very value.
_EXISTS: Final = {81057, 81058}
_NOT_THERE: Final = {81044}
_OTHER_RECORD_THERE: Final = {81053, 81054, 81056}
_MALFORMED_TOKEN: Final = {6003, 6103, 6111}
_WRONG_TOKEN: Final = {1000, 9103, 9106, 9109}
_NO_PERMISSION: Final = {10000}
_WRONG_ID: Final = {7000, 7003}
_TOKEN_PAGE: Final = "https://dash.cloudflare.com/profile/api-tokens"  # noqa: S105 - a page's URL

Json = dict[str, Any]


class Cloudflare:
    """The provider of zones at Cloudflare (see `provider.Provider`).

    `zone_id` is the id of the only zone, for a token that may not list zones. `api_url` is for
    tests; the token goes there.
    """

    def __init__(
        self, token: SecretStr, *, zone_id: str | None = None, api_url: str | None = None
    ) -> None:
        self._token = token
        self._url = (api_url or API_URL).rstrip("/")
        self._zone_id = zone_id
        self._zone_ids: dict[str, str] = {}
        self._sdk = cloudflare.Cloudflare(
            api_token=token.get_secret_value(),
            base_url=self._url,
            timeout=_TIMEOUT_SECONDS,
            # For an answer that got lost. The real back-off is over attempts, and outlives us.
            max_retries=1,
            http_client=httpx.Client(
                auth=self._authorize,
                event_hooks={"response": [_heed_retry_after]},
                # The system's trust (and OpenSSL's SSL_CERT_FILE) rather than certifi's.
                verify=ssl.create_default_context(),
                # No proxy and no .netrc from the environment.
                trust_env=False,
                # Minutes lie between publishing and removing: nothing would be kept that long.
                limits=httpx.Limits(max_keepalive_connections=0),
            ),
        )

    def __repr__(self) -> str:
        return f"<Cloudflare at {self._url}>"

    def check(self, zone: str) -> None:
        """Prove that the token finds the zone and may see its records."""
        with self._boundary(f"looking at the zone {zone}"):
            zone_id = self._id_of(zone)
            self._sdk.dns.records.list(zone_id=zone_id, type="TXT", per_page=1)

    def publish(self, record: Record) -> Record:
        """Add the value, or find the record that has it."""
        with self._boundary(f"adding the TXT record {record.name} in the zone {record.zone}"):
            zone_id = self._id_of(record.zone)
            try:
                created = self._sdk.dns.records.create(
                    zone_id=zone_id,
                    type="TXT",
                    name=record.name,
                    content=f'"{record.value}"',
                    ttl=_TTL,
                    comment=_COMMENT,
                )
            except cloudflare.APIStatusError as error:
                if _codes(error) & _EXISTS:
                    return replace(record, id=self._find(zone_id, record))
                raise
            if created is None:
                raise ValueError("an answer without a record")
            if created.name.lower() != record.name:
                self._sdk.dns.records.delete(created.id, zone_id=zone_id)
                raise IssuanceProblem(
                    f"Cloudflare put the record {record.name} into another zone, as "
                    f"{_shown(created.name)}, and it was removed again: acme.dns.zone_id is not "
                    f"the id of {record.zone}; copy it from that zone's overview page."
                )
            return replace(record, id=created.id)

    def remove(self, record: Record) -> None:
        """Remove the record by its id, or the one that has the value."""
        with self._boundary(f"removing the TXT record {record.name} in the zone {record.zone}"):
            zone_id = self._id_of(record.zone)
            record_id = record.id or self._find(zone_id, record)
            if not record_id:
                return
            try:
                self._sdk.dns.records.delete(record_id, zone_id=zone_id)
            except cloudflare.APIStatusError as error:
                if not _codes(error) & _NOT_THERE:
                    raise

    def _id_of(self, zone: str) -> str:
        """Return a zone's id, asked for once."""
        if self._zone_id is not None:
            return self._zone_id
        if zone not in self._zone_ids:
            # Exactly this name: a token for the parent of a delegated zone would otherwise write
            # where nobody looks.
            name = _unicode(zone)
            found = [each for each in self._sdk.zones.list(name=name).result if each.name == name]
            if not found:
                raise IssuanceProblem(
                    f"Cloudflare shows the token no zone {zone}: either the token lacks the "
                    f"permission Zone / Zone / Read or is for other zones (see {_TOKEN_PAGE}), or "
                    "the zone is in another account; with acme.dns.zone_id set, Zone / DNS / Edit "
                    "is enough."
                )
            # A name may be there twice while it moves between accounts.
            active = [each for each in found if each.status == "active"]
            self._zone_ids[zone] = (active or found)[0].id
        return self._zone_ids[zone]

    def _find(self, zone_id: str, record: Record) -> str:
        """Return the id of the record with this name and value; empty if there is none."""
        found = self._sdk.dns.records.list(
            zone_id=zone_id,
            type="TXT",
            name={"exact": record.name},
            content={"contains": record.value},
        )
        # Without quotes if other software wrote it so.
        wanted = {record.value, f'"{record.value}"'}
        return next((each.id for each in found.result if each.content in wanted), "")

    def _authorize(self, request: httpx.Request) -> httpx.Request:
        """Send the token, and no other credential that the SDK took from the environment."""
        for name in ("X-Auth-Email", "X-Auth-Key", "X-Auth-User-Service-Key"):
            request.headers.pop(name, None)
        request.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        return request

    @contextmanager
    def _boundary(self, doing: str) -> Iterator[None]:
        """Turn whatever the SDK raises into our problem.

        Without the cause: nobody knows what another one's exceptions say of a request.
        """
        try:
            yield
        except IssuanceProblem:
            raise
        except cloudflare.APIStatusError as error:
            raise self._refusal(error, doing) from None
        except cloudflare.APITimeoutError:
            raise IssuanceProblem(
                f"Cloudflare's API at {self._url} did not answer within {_TIMEOUT_SECONDS:.0f} s "
                f"while {doing}: it is tried again; if it lasts, look whether a firewall lets this "
                "host out to it."
            ) from None
        except cloudflare.APIConnectionError as error:
            raise IssuanceProblem(
                f"Cloudflare's API at {self._url} can't be reached while {doing} "
                f"({_reason(error)}): look whether this host can resolve and reach it, and whether "
                "something on the way replaces its certificate."
            ) from None
        except Exception as error:
            raise IssuanceProblem(
                f"What answers at {self._url} while {doing} does not speak Cloudflare's API "
                f"({type(error).__name__}): look whether a captive portal, proxy or firewall "
                "answers in its place."
            ) from None

    def _refusal(self, error: cloudflare.APIStatusError, doing: str) -> IssuanceProblem:
        """Return what to do about an answer with an error."""
        status, codes = error.status_code, _codes(error)
        said = f"{status}{self._words(error)}"
        if status == httpx.codes.TOO_MANY_REQUESTS:
            wait = _retry_after(error.response)
            return IssuanceProblem(
                f"Cloudflare refuses more requests for now while {doing} ({said}): it is asked "
                "again later; look what else uses this account's API.",
                retry_after=_BLOCK_SECONDS if wait is None else wait,
            )
        if codes & _MALFORMED_TOKEN:
            what_to_do = (
                "the token is no whole API token; copy it again from where it was shown once, or "
                f"make another at {_TOKEN_PAGE}"
            )
        elif codes & _WRONG_TOKEN:
            what_to_do = (
                "the token is wrong, expired or revoked, or is not for this zone or this host's "
                f"address; see it at {_TOKEN_PAGE}, and the id if acme.dns.zone_id is set"
            )
        elif codes & _NO_PERMISSION:
            what_to_do = f"give the token the permission Zone / DNS / Edit at {_TOKEN_PAGE}"
        elif codes & _WRONG_ID:
            what_to_do = "set acme.dns.zone_id to the id on the zone's overview page, or to null"
        elif codes & _OTHER_RECORD_THERE:
            what_to_do = (
                "a record of another kind has that name; delete it, or, if it is a CNAME, look "
                "whether it leads where it should"
            )
        elif status >= httpx.codes.INTERNAL_SERVER_ERROR:
            what_to_do = "it is tried again; if it lasts, see https://www.cloudflarestatus.com"
        elif not codes:
            what_to_do = (
                "that is no answer of its API; look whether a captive portal, proxy or firewall "
                "answers in its place"
            )
        else:
            what_to_do = "see https://developers.cloudflare.com/api for what the code means"
        return IssuanceProblem(
            f"Cloudflare's API at {self._url} answered {said} while {doing}: {what_to_do}.",
            retry_after=_retry_after(error.response),
        )

    def _words(self, error: cloudflare.APIStatusError) -> str:
        """Return the codes and the words of an answer, as far as they can be shown."""
        shown = ""
        for each in _errors(error)[:3]:
            text = str(each.get("message", "")).replace(self._token.get_secret_value(), "…")
            shown += f", code {_shown(each.get('code'))} ({_shown(text)})"
        return shown


def _errors(error: cloudflare.APIStatusError) -> list[Json]:
    """Return the errors in an answer, and those that they were caused by."""
    body = error.body
    waiting = list(_objects(body.get("errors"))) if isinstance(body, dict) else []
    found = []
    while waiting:
        each = waiting.pop(0)
        found.append(each)
        waiting += _objects(each.get("error_chain"))
    return found


def _objects(value: object) -> list[Json]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _codes(error: cloudflare.APIStatusError) -> set[int]:
    codes = (each.get("code") for each in _errors(error))
    return {code for code in codes if isinstance(code, int)}


def _shown(text: object) -> str:
    """Return what others wrote, cut and without what could confuse a terminal or a log."""
    return printable(str(text)[:200])


def _reason(error: BaseException) -> str:
    """Return the innermost reason of a failed connection, in the system's words."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def _heed_retry_after(response: httpx.Response) -> None:
    """Keep the SDK from asking at once again who said when to come back."""
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS or "Retry-After" in response.headers:
        # The SDK's own word; it would ask again after half a second, or sleep for up to a minute.
        response.headers["X-Should-Retry"] = "false"


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds in Retry-After (RFC 9110 section 10.2.3); None if there is none."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return min(float(text), _DAY_SECONDS)
    try:
        when = parsedate_to_datetime(text)
        seconds = (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    except (ValueError, OverflowError):
        # The latter for a time zone that is years away.
        return None
    return min(max(seconds, 0.0), _DAY_SECONDS)


def _unicode(name: str) -> str:
    """Return a name as Cloudflare lists zones: a foreign one in its own letters (RFC 3492)."""
    labels = name.split(".")
    for index, label in enumerate(labels):
        if label.startswith("xn--"):
            labels[index] = label.removeprefix("xn--").encode().decode("punycode")
    return ".".join(labels)
