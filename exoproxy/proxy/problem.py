"""Error answers: a sentence for a person, a code for a program, nothing of the request.

The form is the one that the client asks for: a page for a browser that navigates, JSON for
programs, plain text else. `proxy.inbound` calls `problem` for every `ProxyError`.
"""

import json
from html import escape
from http import HTTPStatus
from typing import Final

from exoproxy.errors import MethodNotAllowed, ProxyError, TooManyRefusals
from exoproxy.proxy.decision import Reply
from exoproxy.proxy.page import SECURITY_FIELDS, page
from exoproxy.wire.fields import Field, Fields

_TOO_MANY: Final = (
    f"{TooManyRefusals.status} {TooManyRefusals.code}: {TooManyRefusals.default}\n".encode()
)
REASONS: Final = {status.value: status.phrase.encode() for status in HTTPStatus}


def reason_of(status: int) -> bytes:
    """Return the registered reason phrase of a status, or an empty one."""
    return REASONS.get(status, b"")


def problem(error: ProxyError, *, method: bytes, accept: Fields, request_id: str) -> Reply:
    """Return the answer for an error; `accept` are the request's fields, or empty ones."""
    if isinstance(error, TooManyRefusals):
        return _too_many(error)
    # Loading a page again sends its request again, and only a GET is meant to be.
    retry = error.retry if method == b"GET" else None
    form = _form(accept)
    if form == b"text/html":
        content = _page(error, request_id, retry)
    elif form == b"application/json":
        content = _json(error, request_id)
    else:
        hint = f"{error.hint}\n" if error.hint else ""
        content = f"{error.status} {error.code}: {error.sentence}\n{hint}request {request_id}\n"
    fields: list[Field] = [
        (b"Content-Type", form if form == b"application/json" else form + b"; charset=utf-8"),
        (b"X-Exoproxy-Error", error.code.encode()),
        *SECURITY_FIELDS,
    ]
    if isinstance(error, MethodNotAllowed):
        fields.append((b"Allow", error.allow.encode()))
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE and error.retry:
        fields.append((b"Retry-After", str(error.retry).encode()))
    return Reply(status=error.status, fields=fields, content=content.encode())


def _too_many(error: TooManyRefusals) -> Reply:
    """Return the shortest answer there is: who gets it has seen the long ones."""
    fields: list[Field] = [
        (b"Content-Type", b"text/plain; charset=utf-8"),
        (b"X-Exoproxy-Error", error.code.encode()),
        (b"Retry-After", b"%d" % error.wait),
        (b"Cache-Control", b"no-store"),
    ]
    return Reply(status=error.status, fields=fields, content=_TOO_MANY)


def _form(fields: Fields) -> bytes:
    """Return the media type to answer in.

    A browser says `text/html` first when it navigates; `fetch` and command-line clients say `*/*`
    or what they can read.
    """
    accept = fields.get(b"accept")
    if accept is None:
        return b"text/plain"
    accept = accept.lower()
    if b"text/html" in accept:
        return b"text/html"
    if b"json" in accept or fields.get(b"sec-fetch-mode") == b"cors":
        return b"application/json"
    return b"text/plain"


def _page(error: ProxyError, request_id: str, retry: int | None) -> str:
    status = f"{error.status} {reason_of(error.status).decode()}".rstrip()
    lines = [
        f'<p class="status">{status}</p>',
        f"<h1>{escape(error.sentence)}</h1>",
    ]
    if error.hint:
        lines.append(f"<p>{escape(error.hint)}</p>")
    if retry:
        lines += (
            f'<div class="wait" style="animation-duration: {retry}s"></div>',
            f"<p>This page tries again by itself every {retry} seconds. "
            '<a href="">Try again now</a></p>',
        )
    lines.append(f"<footer>{error.code} · request {request_id}</footer>\n")
    return page(status, "\n".join(lines), refresh=retry)


def _json(error: ProxyError, request_id: str) -> str:
    # OpenStack clients show `error.message`; `code` there is the status.
    inner = {
        "code": error.status,
        "title": reason_of(error.status).decode(),
        "message": error.sentence,
        "hint": error.hint,
        "error": error.code,
        "request_id": request_id,
    }
    return json.dumps({"error": {key: value for key, value in inner.items() if value != ""}}) + "\n"
