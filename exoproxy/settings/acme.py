"""Certificates from an ACME authority, and the DNS records that prove who we are."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from exoproxy.settings.part import Part
from exoproxy.settings.types import (
    AcmeDirectory,
    Email,
    File,
    KeyId,
    ProfileName,
    Resolver,
    Seconds,
    Url,
    ZoneId,
)


class Dns(Part):
    """The DNS provider that holds the zone, for the challenge dns-01."""

    provider: Literal["cloudflare", "rfc2136"] = "cloudflare"
    """Who serves the zone of the host names: Cloudflare, or any name server that takes signed
    updates (rfc2136: BIND, Knot, PowerDNS, Windows)."""

    token_file: File = Path("/etc/exoproxy/cloudflare.token")
    """File with Cloudflare's API token (permissions Zone / DNS / Edit and Zone / Zone / Read, for
    that zone alone), or certbot's cloudflare.ini. For rfc2136 a TSIG key as tsig-keygen prints it,
    or certbot's rfc2136.ini. $CREDENTIALS_DIRECTORY/cloudflare.token (tsig.key for rfc2136) wins.
    Keep it 0600: whoever reads it can move your domain."""

    server: Resolver | None = None
    """The name server that takes the updates, HOST or HOST:PORT; for rfc2136 only."""

    zone_id: ZoneId | None = None
    """The zone's id at Cloudflare. With it the token needs no permission to list zones."""

    api_url: Url | None = None
    """Another Cloudflare API endpoint, for tests. The token is sent there."""

    resolvers: tuple[Resolver, ...] = ()
    """DNS servers to ask where a zone is served, HOST or HOST:PORT. Empty: the system's. The
    challenge itself is always looked up at the zone's own servers."""

    propagation_timeout: Seconds = 180
    """Seconds to wait until every name server of the zone has the challenge's record. Too short
    costs a failed validation, of which Let's Encrypt allows five an hour."""


class Acme(Part):
    """Where certificates come from, for `certificate: acme`."""

    email: Email | None = Field(None, examples=["you@example.org"])
    """Where the authority writes to if something is wrong with your account; null for nowhere."""

    directory: AcmeDirectory = "letsencrypt"
    """letsencrypt, letsencrypt-staging (for trying: browsers refuse its certificates), or the URL
    of another ACME directory."""

    staging_directory: AcmeDirectory = "letsencrypt-staging"
    """Where `exoproxy cert issue --staging` tries whether everything works, without counting
    against the limits of the authority above."""

    eab_key_id: KeyId | None = None
    """Id of the key that binds the account to yours at the authority (external account binding),
    which ZeroSSL, Google and many private authorities ask for."""

    eab_key_file: File | None = None
    """File with that key, in base64url as the authority gives it out. Keep it 0600."""

    store: File | None = None
    """Folder with accounts and certificates, laid out as certbot's. null is STATE_DIR/acme.
    /etc/letsencrypt goes on with what certbot has there; exoproxy must be allowed to write it."""

    ca_file: File | None = None
    """Trust for the ACME server's own certificate (PEM), for a private authority; null is the
    system's trust."""

    challenge: Literal["dns-01", "http-01"] = "dns-01"
    """How the authority is convinced. dns-01 writes a DNS record and is the only way to a UAP's
    wildcard certificate; http-01 needs no DNS token, but port 80 reached from the internet."""

    key_type: Literal["ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-4096"] = "ecdsa-p256"
    """Kind of the certificate's key. An RSA key makes each handshake several times as costly, and
    only very old clients need it."""

    profile: ProfileName | None = None
    """ACME profile, e.g. shortlived (six days); null is the authority's own choice."""

    dns: Dns = Dns()
    """The DNS provider, for dns-01."""
