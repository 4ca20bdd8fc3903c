"""What a command serves, made of the settings: at the start, and anew at each reload."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Self

from exoproxy.certs.context import CertificateProblem
from exoproxy.certs.http_01 import answer
from exoproxy.certs.issuance import SLACK, start_renewal
from exoproxy.certs.keeper import Issuing
from exoproxy.certs.serving import ServingCertificate
from exoproxy.certs.wanted import store_of, wanted
from exoproxy.client.tree import check_root
from exoproxy.learned.learning import Learned
from exoproxy.main import MainSite
from exoproxy.net.dial import Dialer
from exoproxy.net.interfaces import own_addresses
from exoproxy.redirect import RedirectSite
from exoproxy.rules.egress import Policy
from exoproxy.server import dialer_for
from exoproxy.settings.load import state_dir
from exoproxy.settings.location import dotted
from exoproxy.settings.model import Settings
from exoproxy.settings.sites import Main, Region
from exoproxy.sites import learned_file, main_site, region_of, uap_site
from exoproxy.uap import UapSite

logger: Final = logging.getLogger("exoproxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """A mode's part of the settings, and the site made of it.

    `region` is the UAP's, None for the main host. `names` are those of the certificate, `policy`
    says what the site may dial, and `ca_file` is extra trust towards it. `learned`, the main
    host's, outlives the mode.
    """

    settings: Settings
    region: str | None
    part: Main | Region
    site: MainSite | UapSite
    names: tuple[str, ...]
    policy: Policy
    ca_file: Path | None = None
    learned: Learned | None = None

    @property
    def key(self) -> str:
        """Return where its part stands in the settings."""
        return "main" if self.region is None else dotted(("uap", "regions", self.region))

    @property
    def unit(self) -> str:
        """Return the name of its systemd unit, without the suffix."""
        return "exoproxy-main" if self.region is None else f"exoproxy-uap@{self.region}"

    def warn(self) -> None:
        """Log what is there and won't do: the document root, whose files come later."""
        if isinstance(self.part, Main) and (problem := check_root(self.part.client.root)):
            logger.warning("%s", problem)

    def redirect(self) -> RedirectSite:
        """Return the site of the http listeners."""
        answers = store_of(self.settings).answers
        return RedirectSite(
            serves=self.site.serves,
            port=self.part.listen[0].port,
            challenge=partial(answer, answers) if self.region is None else None,
        )

    def dialer(self, own: Mapping[str, Path]) -> Dialer:
        """Return the way out; `own` are the sockets of our own pages.

        Raises `CertificateProblem` for a file of authorities that can't be used.
        """
        try:
            return dialer_for(self.policy, self.settings.limits, ca_file=self.ca_file, own=own)
        except OSError as error:
            raise CertificateProblem(
                f"{self.key}.proxy.ca_file: can't be used ({error}); it should be a PEM file with "
                "certificates"
            ) from error

    def certificate(self) -> ServingCertificate:
        """Load the certificate that is configured. Raises `CertificateProblem`."""
        return ServingCertificate(
            self.part.certificate,
            self.names,
            local=state_dir(self.settings) / "local" / self.names[0],
            store=store_of(self.settings),
        )

    def issuing(self, config: Path) -> Issuing | None:
        """Return how the certificate is got from an authority; None where others bring it.

        `config` is the file that the process reads which gets it.
        """
        for each in wanted(self.settings):
            if each.name == self.names[0]:
                return Issuing(
                    wanted=each,
                    store=store_of(self.settings),
                    start=lambda: start_renewal(self.names[0], config),
                    limit=self.settings.acme.dns.propagation_timeout + SLACK,
                )
        return None

    def certificate_is_as_in(self, other: Self) -> bool:
        """Tell whether the certificate is the same, from the same place, got in the same way."""
        return self._of_certificate() == other._of_certificate()

    def _of_certificate(self) -> tuple[object, ...]:
        orders = [each for each in wanted(self.settings) if each.name == self.names[0]]
        places = state_dir(self.settings), store_of(self.settings).folder
        patience = self.settings.acme.dns.propagation_timeout
        return self.part.certificate, self.names, orders, places, patience

    def close(self) -> None:
        """End what works beside the requests: the main host's files are encoded there."""
        if isinstance(self.site, MainSite):
            self.site.close()


def mode_of(settings: Settings, region: str | None, before: Mode | None = None) -> Mode:
    """Return what is served for a region, or as the main host. Raises `KeyError` if it isn't there.

    What was learned and counted goes on from the mode `before`. Reads which addresses this machine
    has and, without a mode before, the file of what was learned.
    """
    if region is None:
        return _main_mode(settings, before.learned if before else None)
    part = region_of(settings, region)
    if settings.uap is None:
        raise KeyError(region)
    own = own_addresses(address.address for address in part.listen)
    edits = before.site.cookies if before and isinstance(before.site, UapSite) else None
    site = uap_site(settings.uap, part, own, edits)
    names = (part.hostname, f"*.{part.hostname}")
    return Mode(
        settings=settings, region=region, part=part, site=site, names=names, policy=site.policy
    )


def _main_mode(settings: Settings, learned: Learned | None) -> Mode:
    main = settings.main
    if main is None:
        raise KeyError("main")
    learned = learned or Learned.opened(learned_file(settings, main))
    site = main_site(main, own_addresses(address.address for address in main.listen), learned)
    return Mode(
        settings=settings,
        region=None,
        part=main,
        site=site,
        names=(main.hostname,),
        policy=Policy(networks=(), public=False) if site.proxy is None else site.proxy.policy,
        ca_file=None if main.proxy is None else main.proxy.ca_file,
        learned=learned,
    )
