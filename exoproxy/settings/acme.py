"""Certificates from an ACME authority, and the DNS records that prove who we are."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from exoproxy.settings.part import Part
from exoproxy.settings.types import (
    AcmeDirectory,
    Email,
    File,
    ProfileName,
    Resolver,
    Seconds,
    Url,
    ZoneId,
)


class Dns(Part):
    """The DNS provider that holds the zone, for the challenge dns-01."""

    provider: Literal["cloudflare"] = "cloudflare"
    """Who serves the zone of the host names. Only Cloudflare is known so far."""

    token_file: File = Path("/etc/exoproxy/cloudflare.token")
    """File with the API token (permission Zone / DNS / Edit for that zone alone), or certbot's
    cloudflare.ini. $CREDENTIALS_DIRECTORY/cloudflare.token wins. Keep it 0600: whoever reads it
    can move your domain."""

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
