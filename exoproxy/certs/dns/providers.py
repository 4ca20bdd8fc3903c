"""From the settings to the DNS provider they name. Called by what issues, and by `check --live`."""

from collections.abc import Callable, Mapping

from exoproxy.certs.dns.provider import Provider
from exoproxy.certs.dns.token import (
    TOKEN_CREDENTIAL,
    TSIG_CREDENTIAL,
    mode_warnings,
    read_token,
    read_tsig_key,
    secret_file,
)
from exoproxy.certs.problem import IssuanceProblem
from exoproxy.settings.acme import Dns


def provider_of(
    settings: Dns, environment: Mapping[str, str], warn: Callable[[str], None]
) -> Provider:
    """Return the provider of `acme.dns`, with its secret read; nothing is asked of it yet.

    `environment` is the process's, for $CREDENTIALS_DIRECTORY; `warn` takes a sentence on a secret
    that too many may read. Raises `IssuanceProblem`.
    """
    is_cloudflare = settings.provider == "cloudflare"
    credential = TOKEN_CREDENTIAL if is_cloudflare else TSIG_CREDENTIAL
    path = secret_file(settings.token_file, credential, environment)
    for sentence in mode_warnings(path):
        warn(sentence)
    if is_cloudflare:
        # Only who needs the SDK shall wait for its import: 0.7 s.
        from exoproxy.certs.dns.cloudflare import Cloudflare

        return Cloudflare(read_token(path), zone_id=settings.zone_id, api_url=settings.api_url)
    if settings.server is None:
        raise IssuanceProblem(
            "acme.dns.server is missing: for rfc2136 name the zone's primary name server, e.g. "
            "`server: ns1.example.org`."
        )
    from exoproxy.certs.dns.rfc2136 import Rfc2136

    return Rfc2136(settings.server.host, settings.server.port, read_tsig_key(path))
