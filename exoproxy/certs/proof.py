"""Proof of the names, there for as long as the authority looks (RFC 8555 section 8).

For dns-01 that is TXT records where the names' challenges lead to, seen on all name servers of
their zones; for http-01, files that the main host answers with. All of them are published before
the first is looked at, because a host and its wildcard have their values at one name. Whatever
happens, they are taken away again. Called by `attempt`.
"""

import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from exoproxy.certs import http_01
from exoproxy.certs.acme.order import Challenge, ChallengeKind
from exoproxy.certs.dns.caa import forbidden
from exoproxy.certs.dns.provider import Provider, Record
from exoproxy.certs.dns.providers import provider_of
from exoproxy.certs.dns.records import Records
from exoproxy.certs.dns.zones import Dns, Place
from exoproxy.certs.problem import IssuanceProblem
from exoproxy.certs.propagation import wait_until_visible
from exoproxy.settings.acme import Acme

logger: Final = logging.getLogger("exoproxy")

Journal = Callable[[tuple[Record, ...]], None]
Say = Callable[[str], None]


class Proof(Protocol):
    """One way of proving names; `kind` is the challenge's."""

    kind: ChallengeKind

    def tidy(self, journaled: tuple[Record, ...]) -> None:
        """Remove what an earlier process left, as its journal tells."""

    def check(self, names: Sequence[str], identities: Sequence[str]) -> None:
        """Find what would make the proof fail, before anything is ordered.

        `identities` are what CAA records know the authority by. Raises `IssuanceProblem`.
        """

    @contextmanager
    def published(self, challenges: Sequence[Challenge]) -> Iterator[None]:
        """Publish for as long as the context lasts. Raises `IssuanceProblem`."""


def proof_of(acme: Acme, answers: Path, journal: Journal, say: Say) -> Proof:
    """Return the way that `acme.challenge` names.

    `answers` is the folder for http-01, `journal` notes the records of dns-01 (see `Records`), and
    `say` tells a person how far it is.
    """
    if acme.challenge == "http-01":
        return HttpProof(answers)
    return DnsProof(acme, journal, say)


class HttpProof:
    """Files that the redirect listener of the main host answers with."""

    kind: ChallengeKind = "http-01"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def tidy(self, journaled: tuple[Record, ...]) -> None:
        """Leave old answers to `http_01.publish`: they mean nothing to anyone."""

    def check(self, names: Sequence[str], identities: Sequence[str]) -> None:
        """Find nothing: whether port 80 is reached from outside shows from outside alone."""

    @contextmanager
    def published(self, challenges: Sequence[Challenge]) -> Iterator[None]:
        """Keep the answers' files."""
        try:
            for challenge in challenges:
                http_01.publish(self._folder, challenge.token, challenge.value)
            yield
        finally:
            for challenge in challenges:
                http_01.remove(self._folder, challenge.token)


class DnsProof:
    """TXT records at the DNS provider."""

    kind: ChallengeKind = "dns-01"

    def __init__(self, acme: Acme, journal: Journal, say: Say) -> None:
        self._settings = acme.dns
        self._dns = Dns([(each.host, each.port) for each in acme.dns.resolvers])
        self._journal = journal
        self._say = say
        self._provider: Provider | None = None
        self._left: tuple[Record, ...] = ()

    def tidy(self, journaled: tuple[Record, ...]) -> None:
        """Remove the records that an earlier process left."""
        self._left = journaled
        if journaled:
            self._say("Removing TXT records that an earlier attempt left")
            records = self._records()
            _tell(records.sweep())
            _go_on(records)

    def check(self, names: Sequence[str], identities: Sequence[str]) -> None:
        """Find CAA records that forbid, and zones that can't be written."""
        for name in names:
            host = name.removeprefix("*.")
            if sentence := forbidden(self._dns, host, name != host, identities, self.kind):
                raise IssuanceProblem(sentence)
        for place in {self._place(name) for name in names}:
            self._asked().check(place.zone)

    @contextmanager
    def published(self, challenges: Sequence[Challenge]) -> Iterator[None]:
        """Keep the records, and enter once all name servers have them."""
        records = self._records()
        values: defaultdict[Place, list[str]] = defaultdict(list)
        try:
            for challenge in challenges:
                place = self._dns.place_of(challenge.record)
                self._say(f"Writing the TXT record {place.name} in the zone {place.zone}")
                records.publish(Record(zone=place.zone, name=place.name, value=challenge.value))
                values[place].append(challenge.value)
            timeout = self._settings.propagation_timeout
            wait_until_visible(self._dns, values, timeout=timeout, say=self._say)
            yield
        finally:
            _tell(records.remove_all())
        _go_on(records)

    def _records(self) -> Records:
        """Return records that note the left ones, too, as long as they could not be removed."""
        return Records(self._asked(), self._note, self._left)

    def _note(self, records: tuple[Record, ...]) -> None:
        self._journal(records)
        self._left = tuple(each for each in self._left if each in records)

    def _place(self, name: str) -> Place:
        return self._dns.place_of(f"_acme-challenge.{name.removeprefix('*.')}")

    def _asked(self) -> Provider:
        """Return the provider; its secret is read when it is needed first."""
        if self._provider is None:
            self._provider = provider_of(self._settings, os.environ, logger.warning)
        return self._provider


def _tell(sentences: Sequence[str]) -> None:
    for sentence in sentences:
        logger.warning("%s", sentence)


def _go_on(records: Records) -> None:
    """Let a signal that came during a removal have its way now."""
    if records.interrupted is not None:
        raise records.interrupted
