"""What an operator should know about certificates by ACME before the first one is asked for.

Looks at the settings, the store and the secret's file; the network is `live`'s. Called by `check`.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from exoproxy.certs.context import process_user, warnings_of
from exoproxy.certs.dns.token import (
    TOKEN_CREDENTIAL,
    TSIG_CREDENTIAL,
    mode_warnings,
    read_token,
    read_tsig_key,
    secret_file,
)
from exoproxy.certs.inventory import closed
from exoproxy.certs.problem import IssuanceProblem
from exoproxy.certs.wanted import directory_url, store_of, wanted
from exoproxy.settings.acme import Acme, Dns
from exoproxy.settings.load import state_dir
from exoproxy.settings.model import Settings

_STAGING: Final = directory_url("letsencrypt-staging")
_HTTP: Final = 80


def of_issuance(settings: Settings, environment: Mapping[str, str], now: datetime) -> Iterator[str]:
    """Yield `KEY: sentence` for all that is valid and will not get a certificate that serves.

    Nothing, if no host of the file gets its certificate by ACME. `environment` is the process's,
    for $CREDENTIALS_DIRECTORY; `now` is aware.
    """
    if not wanted(settings):
        return
    yield from _of_authority(settings.acme)
    if settings.acme.challenge == "http-01":
        yield from _of_port(settings)
    else:
        yield from _of_secret(settings.acme.dns, environment)
    yield from _of_store(settings, now)


def _of_authority(acme: Acme) -> Iterator[str]:
    if directory_url(acme.directory) == _STAGING:
        yield (
            "acme.directory: is Let's Encrypt's staging, whose certificates are for trying, and "
            "browsers refuse them; write letsencrypt once everything works"
        )
    if acme.eab_key_file and not os.path.exists(acme.eab_key_file):
        yield f"acme.eab_key_file: there is no file {acme.eab_key_file}"


def _of_port(settings: Settings) -> Iterator[str]:
    listeners = settings.main.redirect_listen if settings.main else ()
    if not any(listener.port == _HTTP for listener in listeners):
        yield (
            "main.redirect_listen: http-01 is asked for on port 80, and nothing listens there; add "
            "0.0.0.0:80, or see that something in front sends port 80 on to "
            f"{', '.join(map(str, listeners))}"
        )


def _of_secret(dns: Dns, environment: Mapping[str, str]) -> Iterator[str]:
    """Read the DNS provider's secret as the order will."""
    key = "acme.dns.token_file"
    is_cloudflare = dns.provider == "cloudflare"
    credential = TOKEN_CREDENTIAL if is_cloudflare else TSIG_CREDENTIAL
    path = secret_file(dns.token_file, credential, environment)
    if _kept_from_us(path):
        # As it should be: the service gets it from systemd.
        yield f"{key}: {path} may not be read by {process_user()}; run this with sudo to try it"
        return
    try:
        if is_cloudflare:
            read_token(path)
        else:
            read_tsig_key(path)
    except IssuanceProblem as problem:
        yield f"{key}: {problem}"
        return
    for sentence in mode_warnings(path):
        yield f"{key}: {sentence}"


def _kept_from_us(path: Path) -> bool:
    return os.path.exists(path) and not os.access(path, os.R_OK)


def _of_store(settings: Settings, now: datetime) -> Iterator[str]:
    key, store = "acme.store", store_of(settings)
    if trouble := closed(store):
        yield f"{key}: {trouble}"
        return
    # Who makes the state's folder is systemd.
    folder = store.folder if store.folder.exists() else state_dir(settings)
    if folder.exists() and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield (
            f"{key}: {folder} may not be written by {process_user()}, so that no certificate could "
            "be kept; give it to exoproxy's user, or run this with sudo if you are not that user"
        )
    for each in wanted(settings):
        if stored := store.newest(each.name):
            for sentence in warnings_of(stored.certificate, each.names, now):
                yield f"{each.key}: {sentence}"
