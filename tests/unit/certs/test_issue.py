"""Orders, step by step, at an authority that says what a test wants."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from exoproxy.certs.acme.authority import Authority, Binding
from exoproxy.certs.acme.leaf import new_key
from exoproxy.certs.acme.order import Authorization, Challenge, ChallengeKind, Issued, Order, Wish
from exoproxy.certs.acme.refusal import Complaint, Refusal
from exoproxy.certs.certbot.accounts import Accounts
from exoproxy.certs.issue import Issuer
from exoproxy.certs.problem import IssuanceProblem
from exoproxy.certs.state import PendingOrder

URL = "https://ca.example/directory"
WISH = Wish(names=("a.example.org", "*.a.example.org"))
SIGNER = ec.generate_private_key(ec.SECP256R1())


def challenge(kind: ChallengeKind, url: str, *, pending: bool = True) -> Challenge:
    """Return a challenge for a.example.org."""
    return Challenge(
        kind=kind,
        domain="a.example.org",
        token="t",
        value=f"value of {url}",
        record="_acme-challenge.a.example.org" if kind == "dns-01" else "",
        url=url,
        pending=pending,
    )


def authorization(url: str, status: str = "pending", **changes: object) -> Authorization:
    """Return an authorization for a.example.org, which offers dns-01."""
    found = Authorization(
        url=url,
        domain="a.example.org",
        status=status,
        challenges=(challenge("dns-01", f"{url}/dns"),),
        offered=("dns-01",),
    )
    return replace(found, **changes)  # type: ignore[arg-type] # values of a test's own


def certificate(request: x509.CertificateSigningRequest) -> bytes:
    """Return what an authority issues."""
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    now = datetime.now(UTC)
    issued = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(request.public_key())
        .serial_number(7)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(SIGNER, hashes.SHA256())
    )
    return issued.public_bytes(Encoding.PEM)


@dataclass
class FakeAuthority:
    """Answers from lists; the last answer of each stays. `events` is all that happened."""

    host: str = "ca.example"
    url: str = URL
    terms: str = ""
    needs_binding: bool = False
    renewal_info: str | None = "https://ca.example/renewal"
    profiles: dict[str, str] = field(default_factory=dict)
    authorizations: dict[str, list[Authorization]] = field(
        default_factory=lambda: {
            url: [authorization(url), authorization(url, "valid")] for url in ("/1", "/2")
        }
    )
    orders: list[str] = field(default_factory=lambda: ["ready"])
    finalized: list[str] = field(default_factory=lambda: ["valid"])
    complaint: Complaint | None = None
    refusals: list[Refusal] = field(default_factory=list)
    retry_after: float | None = None
    issued: bytes | None = None
    events: list[str] = field(default_factory=list)

    def register(self, key: bytes, *, email: str | None, binding: Binding | None) -> str:
        """Take every account."""
        self.events.append("register")
        return "https://ca.example/account"

    def sign_with(self, key: bytes, account: str | None) -> None:
        """Believe it."""

    def new_order(
        self, names: Sequence[str], *, profile: str | None, replaces: str | None
    ) -> Order:
        """Take an order, if nothing is to be refused."""
        self.events.append(f"order {replaces}" if replaces else "order")
        if self.refusals:
            raise self.refusals.pop(0)
        return self._order("pending")

    def authorization(self, url: str) -> tuple[Authorization, float | None]:
        """Tell the next state of an authorization."""
        states = self.authorizations[url]
        return (states.pop(0) if len(states) > 1 else states[0]), self.retry_after

    def answer(self, challenge: Challenge) -> None:
        """Take note."""
        self.events.append(f"answer {challenge.url}")

    def order(self, url: str) -> tuple[Order, float | None]:
        """Tell the next state of the order."""
        state = self.orders.pop(0) if len(self.orders) > 1 else self.orders[0]
        return self._order(state), self.retry_after

    def finalize(
        self, order: Order, request: x509.CertificateSigningRequest
    ) -> tuple[Order, float | None]:
        """Issue."""
        self.events.append("finalize")
        if self.refusals:
            raise self.refusals.pop(0)
        if self.issued is None:
            self.issued = certificate(request)
        return self._order(self.finalized[0]), self.retry_after

    def certificate(self, url: str) -> bytes:
        """Hand it out."""
        assert self.issued is not None
        return self.issued

    def _order(self, status: str) -> Order:
        return Order(
            url="https://ca.example/order/1",
            status=status,
            authorizations=tuple(self.authorizations),
            finalize="https://ca.example/order/1/finalize",
            certificate="https://ca.example/cert" if status == "valid" else None,
            complaint=self.complaint,
        )


class Attempt:
    """An issuer with a clock of its own, and what it was given to do."""

    def __init__(self, authority: FakeAuthority, store: Path) -> None:
        self.authority = authority
        self.now = 0.0
        self.pauses: list[float] = []
        self.pending: list[PendingOrder] = []
        self.proved: list[Challenge] = []
        self.issuer = Issuer(
            cast(Authority, authority),
            Accounts(store, URL),
            monotonic=lambda: self.now,
            sleep=self.sleep,
        )

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.pauses.append(seconds)
        self.now += seconds

    @contextmanager
    def prove(self, challenges: Sequence[Challenge]) -> Iterator[None]:
        """Take note of when proofs are there."""
        self.proved.extend(challenges)
        self.authority.events.append("publish")
        try:
            yield
        finally:
            self.authority.events.append("clean up")

    def save(self, pending: PendingOrder) -> None:
        """Take note of what is kept."""
        self.authority.events.append("save")
        self.pending.append(pending)

    def order(self, wish: Wish = WISH) -> Issued:
        """Order."""
        return self.issuer.order(wish, self.prove, self.save)

    def problem(self, wish: Wish = WISH) -> str:
        """Order in vain."""
        with pytest.raises(IssuanceProblem) as caught:
            self.order(wish)
        return str(caught.value)


@pytest.fixture
def authority() -> FakeAuthority:
    """An authority where all goes well."""
    return FakeAuthority()


@pytest.fixture
def attempt(authority: FakeAuthority, tmp_path: Path) -> Attempt:
    """An attempt with an empty store."""
    return Attempt(authority, tmp_path)


def test_steps_are_in_their_order(attempt: Attempt, authority: FakeAuthority) -> None:
    """All is published before any is looked at, and all is kept before a certificate is asked."""
    attempt.order()

    assert authority.events == [
        "register",
        "order",
        "publish",
        "answer /1/dns",
        "answer /2/dns",
        "clean up",
        "save",
        "finalize",
    ]
    assert [each.value for each in attempt.proved] == ["value of /1/dns", "value of /2/dns"]
    assert attempt.pauses == []


def test_order_is_kept_with_its_key(attempt: Attempt) -> None:
    """What is kept is enough to get the certificate later."""
    issued = attempt.order()
    (pending,) = attempt.pending

    assert pending == PendingOrder(
        directory=URL,
        names=WISH.names,
        profile=None,
        order="https://ca.example/order/1",
        key=issued.key.decode(),
    )
    assert attempt.issuer.pick_up(pending) == issued


def test_challenge_that_is_being_looked_at_is_not_answered_again(
    attempt: Attempt, authority: FakeAuthority
) -> None:
    """An authorization may have been begun by an earlier order; its proof is published again."""
    begun = authorization("/1", challenges=(challenge("dns-01", "/1/dns", pending=False),))
    authority.authorizations = {"/1": [begun, authorization("/1", "valid")]}
    attempt.order()

    assert "answer /1/dns" not in authority.events
    assert len(attempt.proved) == 1


def test_what_is_proved_already_needs_no_proof(attempt: Attempt, authority: FakeAuthority) -> None:
    """Names that the authority holds for proved are left alone; with all of them, nothing is."""
    authority.authorizations["/1"] = [authorization("/1", "valid")]
    attempt.order()

    assert [each.url for each in attempt.proved] == ["/2/dns"]

    authority.issued = None
    attempt.order()

    assert authority.events.count("publish") == 1


def test_only_the_wished_challenge_is_proved(attempt: Attempt, authority: FakeAuthority) -> None:
    """Of several kinds on offer the configured one is used."""
    both = (challenge("http-01", "/1/http"), challenge("dns-01", "/1/dns"))
    authority.authorizations = {
        "/1": [authorization("/1", challenges=both), authorization("/1", "valid")]
    }
    attempt.order(Wish(names=("a.example.org",), challenge="http-01"))

    assert [each.kind for each in attempt.proved] == ["http-01"]


def test_name_that_was_not_ordered_is_not_proved(
    attempt: Attempt, authority: FakeAuthority
) -> None:
    """No authority has anything published for another name."""
    authority.authorizations = {"/1": [authorization("/1", domain="b.example.org")]}

    assert attempt.problem() == (
        "ca.example wants b.example.org proved, which was not ordered: check acme.directory."
    )
    assert "publish" not in authority.events


def test_number_of_proofs_is_bounded(attempt: Attempt, authority: FakeAuthority) -> None:
    """No authority has a zone filled with records."""
    authority.authorizations = {f"/{number}": [authorization("/1")] for number in range(11)}

    assert attempt.problem() == (
        "ca.example wants 11 proofs for a.example.org, *.a.example.org: check acme.directory."
    )
    assert "publish" not in authority.events


def test_failed_proof_ends_the_order(attempt: Attempt, authority: FakeAuthority) -> None:
    """A name that is not proved is told with the authority's words, after cleaning up."""
    failed = authorization("/2", "invalid", complaint=Complaint(kind="dns", detail="NXDOMAIN"))
    authority.authorizations["/2"][1] = failed
    sentence = attempt.problem()

    assert sentence.startswith("ca.example does not hold a.example.org for proved by dns-01")
    assert 'it says "NXDOMAIN"' in sentence
    assert authority.events[-1] == "clean up"
    assert attempt.pending == []


@pytest.mark.parametrize("status", ["invalid", "expired", "deactivated", "revoked", "\x1b[31m"])
def test_proof_that_ended_without_a_word_is_told(
    attempt: Attempt, authority: FakeAuthority, status: str
) -> None:
    """Every end of an authorization but a good one ends the order at once."""
    authority.authorizations["/1"] = [authorization("/1", status)]
    sentence = attempt.problem()

    assert "calls the proof of a.example.org" in sentence
    assert "\x1b" not in sentence
    assert "publish" not in authority.events


def test_proof_is_waited_for(attempt: Attempt, authority: FakeAuthority) -> None:
    """Pauses grow and stay bounded, for as long as the authority looks."""
    authority.authorizations["/1"][1:1] = [authorization("/1")] * 7
    attempt.order()

    assert attempt.pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


@pytest.mark.parametrize(("asked", "pause"), [(0.0, 0.25), (3.0, 3.0), (86_400.0, 30.0)])
def test_pause_that_is_asked_for_is_kept(
    attempt: Attempt, authority: FakeAuthority, asked: float, pause: float
) -> None:
    """Retry-After says how long, within bounds."""
    authority.retry_after = asked
    authority.orders = ["pending", "processing", "ready"]
    attempt.order()

    assert attempt.pauses == [pause, pause]


def test_proof_is_not_waited_for_for_ever(attempt: Attempt, authority: FakeAuthority) -> None:
    """An authority that never looks is told, after three minutes."""
    authority.authorizations["/1"] = [authorization("/1")]

    assert "did not look at the proof for a.example.org within 180 seconds" in attempt.problem()
    assert attempt.now == 180.0
    assert authority.events[-1] == "clean up"


def test_certificate_is_not_waited_for_for_ever(attempt: Attempt, authority: FakeAuthority) -> None:
    """An order in the works after three minutes is left to the next attempt, and asked once."""
    authority.finalized = ["processing"]
    authority.orders = ["ready", "processing", "ready"]

    assert "the order is kept, and the next attempt asks for it again" in attempt.problem()
    assert attempt.now == 180.0
    assert authority.events.count("finalize") == 1


def test_certificate_may_take_its_time(attempt: Attempt, authority: FakeAuthority) -> None:
    """An authority that works on it is asked until the certificate is there."""
    authority.finalized = ["processing"]
    authority.orders = ["ready", "processing", "valid"]

    assert attempt.order().fullchain == authority.issued


@pytest.mark.parametrize(
    ("complaint", "part"),
    [
        (Complaint(kind="caa"), "refused to issue the certificate, because a CAA record"),
        (None, "gave the order up and does not say why"),
    ],
)
def test_order_that_went_wrong_is_told_and_not_picked_up(
    attempt: Attempt, authority: FakeAuthority, complaint: Complaint | None, part: str
) -> None:
    """An invalid order has its reason, and makes room for another one."""
    authority.finalized = ["invalid"]
    authority.complaint = complaint

    assert part in attempt.problem()

    authority.orders = ["invalid"]

    assert attempt.issuer.pick_up(attempt.pending[0]) is None


def test_order_that_waits_for_proofs_is_not_picked_up(
    attempt: Attempt, authority: FakeAuthority
) -> None:
    """Nobody proves an earlier process's names: they are ordered again."""
    attempt.order()
    authority.orders = ["pending"]

    assert attempt.issuer.pick_up(attempt.pending[0]) is None
    assert attempt.pauses == []


def test_order_that_was_not_finalized_is_finalized_later(
    attempt: Attempt, authority: FakeAuthority
) -> None:
    """A request for the certificate that got lost is made again, with the same key."""
    authority.refusals = []
    issued = attempt.order()
    authority.orders = ["ready"]

    assert attempt.issuer.pick_up(attempt.pending[0]) == issued
    assert authority.events.count("finalize") == 2


@pytest.mark.parametrize(
    ("status", "kind", "dropped"),
    [(403, "unauthorized", True), (404, "", True), (429, "rateLimited", False), (502, "", False)],
)
def test_earlier_order_is_dropped_only_if_it_is_lost(
    attempt: Attempt, authority: FakeAuthority, status: int, kind: str, dropped: bool
) -> None:
    """A refusal of the order ends it; a busy authority and a gateway's page don't."""
    attempt.order()
    authority.orders = ["ready"]
    authority.refusals = [Refusal("No.", kind=kind, status=status)]
    if dropped:
        assert attempt.issuer.pick_up(attempt.pending[0]) is None
        return
    with pytest.raises(Refusal):
        attempt.issuer.pick_up(attempt.pending[0])


def test_nothing_is_picked_up_without_an_account(
    attempt: Attempt, authority: FakeAuthority, tmp_path: Path
) -> None:
    """Orders belong to accounts: where the account is gone, so is the order."""
    attempt.order()
    other = Attempt(authority, tmp_path / "empty")

    assert other.issuer.pick_up(attempt.pending[0]) is None


def test_order_of_another_authority_is_not_picked_up(attempt: Attempt) -> None:
    """No URL of one authority is ever asked of another."""
    attempt.order()
    elsewhere = replace(attempt.pending[0], directory="https://other.example/directory")

    assert attempt.issuer.pick_up(elsewhere) is None


def test_certificate_of_another_key_is_told(attempt: Attempt, authority: FakeAuthority) -> None:
    """What was issued is looked at before it is handed over."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    names = x509.SubjectAlternativeName([x509.DNSName("a.example.org")])
    request = builder.add_extension(names, critical=False).sign(SIGNER, hashes.SHA256())
    authority.issued = certificate(request)

    assert "can't be used, because it belongs to another key: try again" in attempt.problem()


def test_damaged_key_of_an_earlier_order_is_no_key(attempt: Attempt) -> None:
    """A state file that was tampered with costs the order and no more."""
    attempt.order()
    for key in ("", "ż", new_key("ecdsa-p256").decode()):
        assert attempt.issuer.pick_up(replace(attempt.pending[0], key=key)) is None


def test_refused_replaces_is_left_out(attempt: Attempt, authority: FakeAuthority) -> None:
    """What may be the fault of `replaces` is tried once without it."""
    authority.refusals = [Refusal("No.", kind="", status=409)]
    attempt.order(replace(WISH, replaces="A.B"))

    assert authority.events[1:3] == ["order A.B", "order"]


def test_replaces_is_for_who_knows_it(attempt: Attempt, authority: FakeAuthority) -> None:
    """An authority without renewal information is not told what an order replaces."""
    authority.renewal_info = None
    attempt.order(replace(WISH, replaces="A.B"))

    assert authority.events[1] == "order"


@pytest.mark.parametrize("kind", ["rateLimited", "rejectedIdentifier", "caa", "serverInternal"])
def test_other_refusals_are_not_tried_again(
    attempt: Attempt, authority: FakeAuthority, kind: str
) -> None:
    """What has nothing to do with `replaces` is told at once."""
    authority.refusals = [Refusal("No.", kind=kind, status=403)]
    attempt.problem(replace(WISH, replaces="A.B"))

    assert authority.events == ["register", "order A.B"]


def test_lost_account_and_refused_replaces_come_together(
    attempt: Attempt, authority: FakeAuthority
) -> None:
    """A database that was lost knows neither the account nor the certificate to replace."""
    authority.refusals = [
        Refusal("Who?", kind="accountDoesNotExist", status=400),
        Refusal("What?", kind="malformed", status=404),
    ]
    attempt.order(replace(WISH, replaces="A.B"))

    assert authority.events[:5] == ["register", "order A.B", "register", "order A.B", "order"]


def test_profile_that_is_not_offered_costs_nothing(
    attempt: Attempt, authority: FakeAuthority
) -> None:
    """An unknown profile is told before even an account is registered."""
    authority.profiles = {"b": "", "a": ""}

    assert attempt.problem(replace(WISH, profile="c")) == (
        "ca.example does not offer the profile c: set acme.profile to one of a, b, or to null for "
        "its own choice."
    )
    assert authority.events == []
