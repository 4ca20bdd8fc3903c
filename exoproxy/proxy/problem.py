"""Error answers: a sentence for a person, a code for a program, nothing of the request.

The form is the one that the client asks for: a page for a browser that navigates, JSON for
programs, plain text else. `proxy.inbound` calls `problem` for every `ProxyError`.
"""

import json
from html import escape
from http import HTTPStatus
from typing import Final

from exoproxy.errors import MethodNotAllowed, ProxyError
from exoproxy.proxy.decision import Reply
from exoproxy.wire.fields import Field, Fields

SECURITY_FIELDS: Final[list[Field]] = [
    (b"Cache-Control", b"no-store"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"no-referrer"),
    (
        b"Content-Security-Policy",
        b"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    ),
]

PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{refresh}<title>{status} {reason}</title>
<style>
:root {{ color-scheme: light dark; --line: #d5dae1; --soft: #5a6472; --warm: #b4501e; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --line: #39414d; --soft: #9aa5b4; --warm: #f0a070; }}
}}
body {{ font: 1.05rem/1.5 system-ui, sans-serif; margin: 0; display: grid; min-height: 100vh;
  place-items: center; }}
main {{ max-width: 36rem; padding: 2rem; }}
h1 {{ font-size: 1.4rem; margin: 0 0 .75rem; }}
p {{ margin: 0 0 .75rem; overflow-wrap: anywhere; }}
.status {{ color: var(--warm); font-weight: 600; margin-bottom: .25rem; }}
footer {{ border-top: 1px solid var(--line); color: var(--soft); font-size: .85rem;
  margin-top: 1.5rem; padding-top: .75rem; }}
</style>
</head>
<body>
<main>
<p class="status">{status} {reason}</p>
<h1>{sentence}</h1>
{hint}{retry}<footer>{code} · request {request_id}</footer>
</main>
</body>
</html>
"""


REASONS: Final = {status.value: status.phrase.encode() for status in HTTPStatus}


def reason_of(status: int) -> bytes:
    """Return the registered reason phrase of a status, or an empty one."""
    return REASONS.get(status, b"")


def problem(error: ProxyError, *, method: bytes, accept: Fields, request_id: str) -> Reply:
    """Return the answer for an error; `accept` are the request's fields, or empty ones."""
    retry = error.retry if method in {b"GET", b""} else None
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
    return PAGE.format(
        refresh=f'<meta http-equiv="refresh" content="{retry}">\n' if retry else "",
        status=error.status,
        reason=reason_of(error.status).decode(),
        sentence=escape(error.sentence),
        hint=f"<p>{escape(error.hint)}</p>\n" if error.hint else "",
        retry=f"<p>This page tries again every {retry} seconds.</p>\n" if retry else "",
        code=error.code,
        request_id=request_id,
    )


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
