"""The OpenID Connect redirector: a federated login comes back to the client through it.

Keystone ends such a login with a page that posts a token as a form to this host. The client's page
can't read a form; so the token goes into an address of its own, which the client reads. The token
opens the user's account, so no log, no error and no cache ever has it.
"""

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from aiohttp import web

from exoproxy.errors import ContentTooLarge, LoginRefused
from exoproxy.proxy.page import SECURITY_FIELDS
from exoproxy.settings.model import Settings

LOGIN: Final = "/auth/oidc-login?token="
# Keystone's form has one field; some identity providers' have a few beside.
MOST_FIELDS: Final = 64

_HEADERS: Final = {name.decode(): value.decode() for name, value in SECURITY_FIELDS}


def oidc_redirector(
    current: Callable[[], Settings],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return the handler; `current` returns the settings of the moment.

    It raises `LoginRefused` for a form without exactly one token, `ContentTooLarge` for a token
    that is too long to be sent in an address.
    """

    async def redirect(request: web.Request) -> web.Response:
        longest = current().limits.response_field
        return web.Response(
            status=302, headers={"Location": location(await request.read(), longest), **_HEADERS}
        )

    return redirect


def location(form: bytes, longest: int) -> str:
    """Return the client's address with the token of a form.

    The form is read as the URL standard says (section 5.1), and the token's bytes are kept: what
    is no text goes on percent-encoded, and what is badly encoded stays as it is. Every byte but
    letters, digits and `-._~` is encoded, so none can end the field.
    """
    if form.count(b"&") >= MOST_FIELDS:
        raise LoginRefused("The form holds more fields than a login has.")
    fields = (field.partition(b"=") for field in form.split(b"&"))
    values = [value for name, _, value in fields if _is_token(name)]
    if len(values) > 1:
        raise LoginRefused("The form holds more than one token.")
    if not values or not values[0]:
        raise LoginRefused("The form holds no token.")
    # Three bytes of a form can be one of the token: what is longer need not be decoded.
    if len(values[0]) <= 3 * longest:
        token = unquote_to_bytes(values[0].replace(b"+", b" "))
        found = LOGIN + quote_from_bytes(token, safe="")
        if len(found) <= longest:
            return found
    raise ContentTooLarge("The token is too long to be passed on in an address.")


def _is_token(name: bytes) -> bool:
    # Three bytes for each of its five, at most.
    return len(name) <= 15 and unquote_to_bytes(name) == b"token"
