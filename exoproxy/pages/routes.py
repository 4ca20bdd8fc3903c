"""Which requests go to the pages of our own, and what of them: pure decisions about a head.

`main` asks for what is switched on. What a head alone can tell is refused here, so that the
application sees only what it is made for; what takes the content is told by `oidc`.
"""

from collections.abc import Callable
from typing import Final

from exoproxy.errors import LoginRefused, MethodNotAllowed
from exoproxy.net.dial import OWN, Upstream
from exoproxy.proxy.decision import Forward
from exoproxy.settings.sites import Main
from exoproxy.wire.fields import Field
from exoproxy.wire.head import RequestHead, ResponseHead

Route = Callable[[RequestHead], Forward]

PAGES: Final = Upstream(OWN, "pages", 0, verify=False)
OIDC_REDIRECTOR: Final = b"/oidc-redirector"
SELF_TEST: Final = b"/.exoproxy/self-test"

FORM: Final = b"application/x-www-form-urlencoded"
# Bytes of a content, a form for the most: what nginx takes by default.
LONGEST_CONTENT: Final = 1_048_576

# Nothing else of a request reaches the pages: no cookie, no query, no other site's address.
_PASSED: Final = frozenset({b"accept", b"content-type", b"expect", b"sec-fetch-mode"})
_SERVER: Final = frozenset({b"server"})


def routes(main: Main) -> dict[bytes, Route]:
    """Return the pages that are switched on, by their paths, which are compared byte for byte."""
    found: dict[bytes, Route] = {}
    if main.oidc_redirector:
        found[OIDC_REDIRECTOR] = to_oidc_redirector
    if main.self_test:
        found[SELF_TEST] = to_self_test
    return found


def to_oidc_redirector(request: RequestHead) -> Forward:
    """Let a form pass; raises `LoginRefused` for anything else.

    The form comes from a page of Keystone's, so that any Origin is right.
    """
    if request.method != b"POST":
        raise LoginRefused("A federated login comes back here by POST, and this request is none.")
    types = request.fields.all(b"content-type")
    if len(types) != 1 or types[0].partition(b";")[0].strip(b" \t").lower() != FORM:
        raise LoginRefused(
            "A federated login comes back here with a form, of the type "
            f"{FORM.decode()}, and this request holds none."
        )
    return _forward(request)


def to_self_test(request: RequestHead) -> Forward:
    """Let the page be asked for; raises `MethodNotAllowed` for anything else."""
    if request.method not in {b"GET", b"HEAD"}:
        raise MethodNotAllowed
    return _forward(request)


def _forward(request: RequestHead) -> Forward:
    passed: list[Field] = [pair for pair in request.fields if pair[0].lower() in _PASSED]
    return Forward(
        upstream=PAGES,
        target=request.target.path,
        fields=[(b"Host", request.authority.raw), *passed],
        edit_response=_edit,
        route="page",
        content_limit=LONGEST_CONTENT,
        told_id=True,
    )


def _edit(head: ResponseHead) -> list[Field]:
    # What the pages are made with is nobody's business.
    return head.fields.end_to_end(_SERVER)
