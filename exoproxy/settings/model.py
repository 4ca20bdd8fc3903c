"""What can be configured: one file for every host of a deployment.

`Settings` is the root; its parts are in `sites`, `acme` and `limits`. A value of it is free of
contradictions, wherever it comes from. Read by `load`; shown by `example` and the JSON Schema.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from exoproxy.settings.acme import Acme
from exoproxy.settings.contradictions import contradictions
from exoproxy.settings.limits import Limits
from exoproxy.settings.part import Part
from exoproxy.settings.sites import Main, Uap
from exoproxy.settings.types import File, Subnet, Switch


class Log(Part):
    """What is written to the journal."""

    format: Literal["auto", "console", "json"] = "auto"
    """console for people, json for machines; auto is console on a terminal and json else."""

    access: Switch = True
    """One line per request, two per tunnel, on standard output. Paths and the names in queries are
    in it, but no value of a query, no cookie and no token."""

    access_format: Literal["auto", "combined"] = "auto"
    """auto follows `format`; combined is nginx's form, for programs that read its logs, such as
    fail2ban and GoAccess. It says neither the host, the upstream nor why a request was refused."""


class Settings(Part):
    """The configuration of a deployment."""

    state_dir: File = Path("/var/lib/exoproxy")
    """Certificates, the ACME account, installed clients. $STATE_DIRECTORY (systemd) wins. Keep it
    over updates: without it everything is asked for again, and authorities limit that."""

    acme: Acme = Acme()
    """Where certificates come from, for `certificate: acme`."""

    main: Main | None = None
    """The main host, for `exoproxy main`: the client, /proxy and the OpenID Connect redirector."""

    uap: Uap | None = None
    """The User Application Proxies, for `exoproxy uap --region NAME`."""

    limits: Limits = Limits()
    """Caps, sizes (bytes) and timeouts (seconds). The defaults suit a campus."""

    trusted_proxies: tuple[Subnet, ...] = ()
    """Networks of load balancers in front, whose X-Forwarded-For and PROXY protocol header are
    believed. Anyone in them can pretend to be anyone."""

    proxy_protocol: Switch = False
    """true: each connection begins with a PROXY protocol header, as the balancer must be told to
    send. Connections without it are closed."""

    log: Log = Log()
    """What is written to the journal."""

    @model_validator(mode="after")
    def _free_of_contradictions(self) -> Self:
        if found := tuple(contradictions(self)):
            sentences = "; ".join(str(each) for each in found)
            raise PydanticCustomError(
                "contradiction", "{sentences}", {"sentences": sentences, "found": found}
            )
        return self
