"""Certificates ordered from pebble, and everything that may go wrong between it and here.

Each test ends in a certificate, or in one sentence. Pebble believes every challenge here: what is
shown in DNS and at port 80 is the matter of other tests.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

import authority as minica
from acme_front import AcmeFront, Fault
from exoproxy.certs.acme.ari import ask
from exoproxy.certs.acme.authority import Authority, Binding
from exoproxy.certs.acme.order import Challenge, Issued, KeyType, Wish
from exoproxy.certs.acme.refusal import Refusal
from exoproxy.certs.certbot.accounts import Accounts
from exoproxy.certs.context import ari_id
from exoproxy.certs.issue import Issuer
from exoproxy.certs.problem import IssuanceProblem
from exoproxy.certs.state import PendingOrder
from pebble import Pebble

pytestmark = pytest.mark.needs("pebble")

WISH = Wish(names=("proxy.example.org", "*.proxy.example.org"))
BINDING_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
ONE_SENTENCE = re.compile(r"[^\n]+[^.\n]\.")

# Picks an order up in a process of its own, as after a crash.
PICK_UP = """
import json, sys
from pathlib import Path
from exoproxy.certs.certbot.accounts import Accounts
from exoproxy.certs.acme.authority import Authority
from exoproxy.certs.issue import Issuer
from exoproxy.certs.state import PendingOrder
url, ca_file, store, pending = sys.argv[1:]
pending = json.loads(pending)
pending["names"] = tuple(pending["names"])
issuer = Issuer(Authority(url, ca_file=Path(ca_file)), Accounts(Path(store), url))
issued = issuer.pick_up(PendingOrder(**pending))
sys.stdout.write(issued.fullchain.decode() if issued else "none")
"""


@dataclass
class Client:
    """One exoproxy: its store, and what its attempts did."""

    url: str
    ca_file: Path
    store: Path
    email: str | None = None
    binding: Binding | None = None
    proved: list[Sequence[Challenge]] = field(default_factory=list)
    cleaned: int = 0
    pending: list[PendingOrder] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def issuer(self) -> Issuer:
        """Return what a new process starts with."""
        return Issuer(
            Authority(self.url, ca_file=self.ca_file),
            Accounts(self.store, self.url),
            email=self.email,
            binding=self.binding,
            say=self.said.append,
            sleep=lambda seconds: time.sleep(min(seconds, 0.02)),
        )

    def order(self, wish: Wish = WISH) -> Issued:
        """Make one attempt."""
        return self.issuer().order(wish, self.prove, self.pending.append)

    @contextmanager
    def prove(self, challenges: Sequence[Challenge]) -> Iterator[None]:
        """Publish nothing."""
        self.proved.append(challenges)
        try:
            yield
        finally:
            self.cleaned += 1

    def problem(self, wish: Wish = WISH) -> IssuanceProblem:
        """Make one attempt that fails, and return its one sentence."""
        with pytest.raises(IssuanceProblem) as caught:
            self.order(wish)

        assert ONE_SENTENCE.fullmatch(str(caught.value))
        assert self.cleaned == len(self.proved)
        return caught.value

    def pick_up_elsewhere(self) -> bytes:
        """Pick the last order up in another process."""
        arguments = [self.url, str(self.ca_file), str(self.store)]
        done = subprocess.run(  # noqa: S603 - this interpreter
            [sys.executable, "-c", PICK_UP, *arguments, json.dumps(asdict(self.pending[-1]))],
            cwd=Path(__file__).parent.parent.parent,
            capture_output=True,
            timeout=60,
            check=True,
        )
        return done.stdout


@pytest.fixture(scope="module")
def pebble(
    authority: minica.Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pebble]:
    """An authority that believes everything and rejects no nonce."""
    folder = tmp_path_factory.mktemp("pebble")
    with Pebble(
        folder, authority, always_valid=True, blocked=["blocked.example.org"]
    ).running() as it:
        yield it


@pytest.fixture
def front(pebble: Pebble, authority: minica.Authority) -> Iterator[AcmeFront]:
    """What stands before that authority."""
    with AcmeFront(pebble, authority).running() as front:
        yield front


@pytest.fixture
def client(front: AcmeFront, tmp_path: Path) -> Client:
    """An exoproxy with an empty store, before that front."""
    return Client(url=front.directory, ca_file=front.ca_file, store=tmp_path)


def leaf(issued: Issued) -> x509.Certificate:
    """Return the certificate itself."""
    return x509.load_pem_x509_certificates(issued.fullchain)[0]


def names(certificate: x509.Certificate) -> set[str]:
    """Return the DNS names that a certificate is for."""
    alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return set(alternatives.value.get_values_for_type(x509.DNSName))


def test_host_and_wildcard_are_proved_by_two_values_at_one_name(
    client: Client, front: AcmeFront
) -> None:
    """A first order registers an account, proves two names at one record, and has one chain."""
    client.email = "admin@example.org"
    issued = client.order()

    (challenges,) = client.proved
    assert names(leaf(issued)) == set(WISH.names)
    assert {challenge.record for challenge in challenges} == {"_acme-challenge.proxy.example.org"}
    assert len({challenge.value for challenge in challenges}) == 2
    assert front.payloads("newAccount") == [
        {"termsOfServiceAgreed": True, "contact": ["mailto:admin@example.org"]}
    ]
    assert {request.user_agent for request in front.requests} == {"exoproxy/0.1.0"}
    assert client.said[0].startswith("Registering an account at 127.0.0.1:")


def test_chain_ends_in_the_authority(client: Client, pebble: Pebble) -> None:
    """What is issued, each certificate after the first, is signed by the next up to the root."""
    issued = client.order()
    chain = x509.load_pem_x509_certificates(issued.fullchain)
    chain.append(x509.load_pem_x509_certificate(pebble.root()))

    for below, above in pairwise(chain):
        below.verify_directly_issued_by(above)


def test_account_is_used_again(client: Client, front: AcmeFront) -> None:
    """A second attempt, by another process, registers nothing."""
    client.order()
    client.order()

    assert len(front.payloads("newAccount")) == 1
    assert len(front.new_orders) == 2


@pytest.mark.parametrize(
    ("key_type", "kind", "size"),
    [
        ("ecdsa-p256", ec.EllipticCurvePublicKey, 256),
        ("ecdsa-p384", ec.EllipticCurvePublicKey, 384),
        ("rsa-2048", rsa.RSAPublicKey, 2048),
    ],
)
def test_key_is_of_the_kind_that_was_wished(
    client: Client, key_type: KeyType, kind: type, size: int
) -> None:
    """The certificate's key has the configured kind and size."""
    public = leaf(client.order(Wish(names=("a.example.org",), key_type=key_type))).public_key()

    assert isinstance(public, kind)
    assert getattr(public, "key_size", None) == size


def test_http_01_has_the_key_authorization(client: Client) -> None:
    """By http-01 what has to be shown at a path is TOKEN.THUMBPRINT, and no record is named."""
    client.order(Wish(names=("main.example.org",), challenge="http-01"))
    (challenge,) = client.proved[0]

    assert challenge.kind == "http-01"
    assert challenge.value.startswith(f"{challenge.token}.")
    assert challenge.record == ""


def test_wildcard_can_not_be_proved_by_http_01(client: Client) -> None:
    """The sentence names the setting and what is offered instead."""
    problem = client.problem(Wish(names=("*.example.org",), challenge="http-01"))

    assert "does not let *.example.org be proved by http-01: set acme.challenge to" in str(problem)
    assert "(dns-01)" in str(problem)
    assert client.pending == []


def test_authorizations_that_are_valid_are_not_proved_again(
    authority: minica.Authority, tmp_path: Path
) -> None:
    """Names that the authority still holds for proved need no record."""
    pebble = Pebble(tmp_path, authority, always_valid=True, authorizations_reused=100)
    with pebble.running():
        client = Client(url=pebble.directory, ca_file=pebble.ca_file, store=tmp_path)
        client.order()
        client.order()

    assert len(client.proved) == 1


def test_rejected_nonces_are_no_reason_to_fail(authority: minica.Authority, tmp_path: Path) -> None:
    """Where three of ten nonces are rejected, all of twenty orders come to their end."""
    pebble = Pebble(tmp_path, authority, always_valid=True, nonces_rejected=30)
    with pebble.running():
        client = Client(url=pebble.directory, ca_file=pebble.ca_file, store=tmp_path)
        issued = [client.order() for _ in range(20)]

    assert len({leaf(each).serial_number for each in issued}) == 20


def test_storm_of_rejected_nonces_ends_in_a_sentence(client: Client, front: AcmeFront) -> None:
    """An authority that rejects every nonce is not asked for ever."""
    front.faults.append(Fault("newOrder", error="badNonce", times=1000))
    problem = client.problem()

    assert "repeated, again and again" in str(problem)
    assert len(front.new_orders) == 10


@pytest.mark.parametrize("resource", ["newAccount", "newOrder", "authorization", "challenge"])
def test_busy_authority_says_when(client: Client, front: AcmeFront, resource: str) -> None:
    """A 429 anywhere ends the attempt with the time that the authority named."""
    fields = {"Retry-After": "3600"}
    front.faults.append(Fault(resource, status=429, error="rateLimited", fields=fields))
    problem = client.problem()

    assert problem.retry_after == 3600
    assert "it may be tried again at " in str(problem)
    assert 'it says "made up by a test"' in str(problem)


def test_broken_authority_leaves_no_proof_behind(client: Client, front: AcmeFront) -> None:
    """A failure while the authority looks at the proofs ends the attempt and cleans up."""
    page = Fault("authorization", status=503, content_type="text/html", after=len(WISH.names))
    front.faults.append(page)
    problem = client.problem()

    assert "(status 503, text/html)" in str(problem)
    assert client.cleaned == 1


@pytest.mark.parametrize("status", [500, 502, 503])
@pytest.mark.parametrize("resource", ["directory", "newNonce", "newOrder", "authorization"])
def test_broken_authority_is_named(
    client: Client, front: AcmeFront, resource: str, status: int
) -> None:
    """A gateway's page instead of an answer is told as such, and not shown."""
    page = b"<html><title>Bad Gateway</title>"
    front.faults.append(Fault(resource, status=status, body=page, content_type="text/html"))
    problem = client.problem()

    assert f"busy or out of order (status {status}, text/html)" in str(problem)
    assert "<" not in str(problem)


@pytest.mark.parametrize("resource", ["directory", "newAccount", "newOrder", "authorization"])
def test_portal_in_the_authority_s_place_is_recognized(
    client: Client, front: AcmeFront, resource: str
) -> None:
    """HTML with status 200 is no ACME."""
    fields = {"Replay-Nonce": "AAAA", "Location": "/x"}
    page = Fault(
        resource, status=200, body=b"<html>Log in!", content_type="text/html", fields=fields
    )
    front.faults.append(page)
    problem = client.problem()

    assert "its answer is not ACME's (status 200, text/html): check acme.directory" in str(problem)


@pytest.mark.parametrize("cut", ["before", "after"])
@pytest.mark.parametrize(
    "resource", ["directory", "newNonce", "newAccount", "newOrder", "authorization", "challenge"]
)
def test_cut_connection_is_made_good_by_the_next_attempt(
    client: Client, front: AcmeFront, resource: str, cut: str
) -> None:
    """Whether a request got through or not: one sentence, and the next attempt has all it needs."""
    front.faults.append(Fault(resource, cut="before" if cut == "before" else "after"))
    problem = client.problem()

    assert "the connection broke before the answer was there" in str(problem)
    assert names(leaf(client.order())) == set(WISH.names)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("finalize", cut="before"),
        Fault("finalize", cut="after"),
        Fault("finalize", status=503, content_type="text/html"),
        Fault("finalize", status=429, error="rateLimited"),
        Fault("certificate", cut="before"),
        Fault("certificate", cut="after"),
        Fault("order", cut="before"),
        Fault("order", status=500, error="serverInternal"),
        Fault("certificate", status=200, body=b"<html>", content_type="text/html"),
    ],
    ids=lambda fault: f"{fault.resource}-{fault.cut or fault.status}",
)
def test_lost_answer_costs_no_second_order(client: Client, front: AcmeFront, fault: Fault) -> None:
    """Whatever befalls the end of an order, another process gets its certificate later."""
    fault.seen = 0
    front.faults.append(fault)
    client.problem()
    chain = client.pick_up_elsewhere()

    certificate = x509.load_pem_x509_certificates(chain)[0]
    assert names(certificate) == set(WISH.names)
    assert len(front.new_orders) == 1


def test_order_that_was_finished_is_picked_up_again(client: Client, front: AcmeFront) -> None:
    """A process killed between issuance and storing loses nothing but time."""
    issued = client.order()

    assert client.issuer().pick_up(client.pending[0]) == issued
    assert len(front.new_orders) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda pending: {"directory": "https://other.example.org/directory"},
        lambda pending: {"order": f"{pending.order}-unknown"},
        lambda pending: {"key": "damaged"},
    ],
    ids=["another authority's", "unknown", "damaged"],
)
def test_order_that_leads_nowhere_is_dropped(
    client: Client, change: Callable[[PendingOrder], dict[str, str]]
) -> None:
    """What can't become a certificate any more makes room for a new order."""
    client.order()
    pending = PendingOrder(**{**asdict(client.pending[0]), **change(client.pending[0])})

    assert client.issuer().pick_up(pending) is None


def test_order_for_other_names_is_dropped(client: Client) -> None:
    """A certificate that does not cover what it is kept for is not taken."""
    client.order()
    pending = PendingOrder(**{**asdict(client.pending[0]), "names": ("other.example.org",)})

    assert client.issuer().pick_up(pending) is None


def test_order_is_kept_while_nobody_answers(client: Client, front: AcmeFront) -> None:
    """An authority that is out of order takes no order away."""
    client.order()
    front.faults.append(Fault("order", status=502, body=b"", content_type="text/html"))
    with pytest.raises(IssuanceProblem, match="busy or out of order"):
        client.issuer().pick_up(client.pending[0])

    assert client.issuer().pick_up(client.pending[0]) is not None


def test_refused_issuance_ends_the_order(client: Client, front: AcmeFront) -> None:
    """A refusal of the certificate itself has its reason, and the order is not picked up again."""
    front.faults.append(Fault("finalize", status=403, error="caa", times=2))
    problem = client.problem()

    assert "because a CAA record in DNS does not allow it to issue" in str(problem)
    assert client.issuer().pick_up(client.pending[0]) is None


def test_authority_that_lost_the_account_gets_it_again(
    authority: minica.Authority, tmp_path: Path
) -> None:
    """After the authority started anew, the key is registered once more, and nothing is asked."""
    pebble = Pebble(tmp_path, authority, always_valid=True)
    client = Client(url=pebble.directory, ca_file=pebble.ca_file, store=tmp_path)
    with pebble.running():
        client.order()
    before = Accounts(tmp_path, pebble.directory).load()
    with pebble.running():
        assert client.issuer().pick_up(client.pending[0]) is None
        client.order()
    after = Accounts(tmp_path, pebble.directory).load()

    assert before is not None
    assert after is not None
    assert before.key == after.key
    assert len([said for said in client.said if said.startswith("Registering")]) == 2


def test_account_is_registered_again_once_only(client: Client, front: AcmeFront) -> None:
    """An authority that never knows the account is not asked for ever."""
    front.faults.append(Fault("newOrder", error="accountDoesNotExist", times=99))
    problem = client.problem()

    assert "because it does not know the account" in str(problem)
    assert len(front.new_orders) == 2


def test_key_whose_account_was_not_stored_keeps_it(client: Client, front: AcmeFront) -> None:
    """Registering a key that has an account is no error (RFC 8555 section 7.3.1)."""
    client.order()
    accounts = Accounts(client.store, client.url)
    account = accounts.load()
    assert account is not None

    uri = Authority(client.url, ca_file=client.ca_file).register(
        account.key, email=None, binding=None
    )
    assert uri == account.uri


def test_deactivated_account_has_its_sentence(client: Client, front: AcmeFront) -> None:
    """What can only be mended by hand says how."""
    front.faults.append(Fault("newOrder", status=403, error="unauthorized"))
    problem = client.problem()

    assert "may have been deactivated" in str(problem)
    assert "move the account's folder out of accounts/ in the store" in str(problem)


def test_binding_is_asked_for_and_used(authority: minica.Authority, tmp_path: Path) -> None:
    """Without a binding key the sentence names the settings, with one there is a certificate."""
    keys = {"kid-1": BINDING_KEY}
    with Pebble(tmp_path, authority, always_valid=True, binding_keys=keys).running() as pebble:
        client = Client(url=pebble.directory, ca_file=pebble.ca_file, store=tmp_path)
        problem = client.problem()
        client.binding = Binding(key_id="kid-2", key=BINDING_KEY)
        refused = client.problem()
        client.binding = Binding(key_id="kid-1", key=BINDING_KEY)
        client.order()

    assert "set acme.eab_key_id and acme.eab_key_file." in str(problem)
    assert isinstance(refused, Refusal)
    assert "check acme.eab_key_id and acme.eab_key_file" in str(refused)
    assert BINDING_KEY not in str(refused)


def test_profile_is_ordered(client: Client, front: AcmeFront) -> None:
    """A profile on offer is part of the order."""
    front.profiles = {"classic": "90 days", "shortlived": "six days"}
    client.order(Wish(names=("a.example.org",), profile="shortlived"))

    assert front.new_orders[0]["profile"] == "shortlived"


@pytest.mark.parametrize(
    ("offered", "sentence"),
    [
        ({"classic": "", "shortlived": ""}, "to one of classic, shortlived, or to null"),
        (None, "offers no profiles: set acme.profile to null."),
    ],
)
def test_unknown_profile_is_told_before_anything_is_ordered(
    client: Client, front: AcmeFront, offered: dict[str, str] | None, sentence: str
) -> None:
    """The sentence names what there is to choose from."""
    front.profiles = offered

    assert sentence in str(client.problem(Wish(names=("a.example.org",), profile="longlived")))
    assert front.new_orders == []


def test_renewal_names_what_it_replaces(client: Client, front: AcmeFront) -> None:
    """Where the authority knows ARI, an order says which certificate it renews."""
    front.window = ("2026-12-01T00:00:00Z", "2026-12-03T00:00:00Z")
    replaced = ari_id(leaf(client.order()))
    client.order(Wish(names=WISH.names, replaces=replaced))

    assert replaced is not None
    assert [order.get("replaces") for order in front.new_orders] == [None, replaced]


def test_no_replaces_where_it_is_not_known(client: Client, front: AcmeFront) -> None:
    """An authority without renewal information is not told of it."""
    client.order(Wish(names=WISH.names, replaces="AAAA.BBBB"))

    assert "replaces" not in front.new_orders[0]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("newOrder", status=409, error="alreadyReplaced"),
        Fault("newOrder", status=409, error="conflict"),
        Fault("newOrder", status=409, body=b"", content_type="text/plain"),
        Fault("newOrder", status=400, error="malformed"),
        Fault("newOrder", status=403, error="unauthorized"),
    ],
    ids=lambda fault: f"{fault.status}-{fault.error}",
)
def test_order_is_made_without_replaces_if_that_is_refused(
    client: Client, front: AcmeFront, fault: Fault
) -> None:
    """A renewal does not hang on the authority's view of what it renews."""
    front.window = ("2026-12-01T00:00:00Z", "2026-12-03T00:00:00Z")
    fault.seen = 0
    front.faults.append(fault)
    client.order(Wish(names=WISH.names, replaces="AAAA.BBBB"))

    assert [order.get("replaces") for order in front.new_orders] == ["AAAA.BBBB", None]


def test_rejected_name_is_named(client: Client) -> None:
    """A name that the authority will never issue for is told with what to do."""
    problem = client.problem(Wish(names=("blocked.example.org",)))

    assert isinstance(problem, Refusal)
    assert problem.kind == "rejectedIdentifier"
    assert "take an order for blocked.example.org, because it does not issue" in str(problem)


def test_failed_proof_is_told_with_its_name(authority: minica.Authority, tmp_path: Path) -> None:
    """An authority that can't look the record up says which name, why, and what to do."""
    with Pebble(tmp_path, authority, dns="127.0.0.1:9").running() as pebble:
        client = Client(url=pebble.directory, ca_file=pebble.ca_file, store=tmp_path)
        problem = client.problem()

    assert "does not hold proxy.example.org for proved by dns-01, because" in str(problem)
    assert client.pending == []


def test_window_for_renewal_is_asked_for(client: Client, front: AcmeFront) -> None:
    """The authority is asked about this very certificate, and its window and wait are returned."""
    front.window = ("2026-12-01T00:00:00Z", "2026-12-03T02:00:00+02:00")
    front.retry_after = "21600"
    certificate = leaf(client.order())
    suggestion = ask(Authority(client.url, ca_file=client.ca_file), certificate)

    assert suggestion is not None
    assert suggestion.start == datetime(2026, 12, 1, tzinfo=UTC)
    assert suggestion.end == datetime(2026, 12, 3, tzinfo=UTC)
    assert suggestion.retry_after == 21600
    assert front.paths("renewalInfo") == [f"/renewal-info/{ari_id(certificate)}"]


def test_clock_is_compared_with_the_authority_s(client: Client, front: AcmeFront) -> None:
    """The directory's Date tells how far this machine's clock is off."""
    front.date = "Fri, 20 Nov 2026 00:00:00 GMT"
    front.caa_identities = ["letsencrypt.org"]
    found = Authority(client.url, ca_file=client.ca_file)
    expected = (datetime.now(UTC) - datetime(2026, 11, 20, tzinfo=UTC)).total_seconds()

    assert found.clock_skew == pytest.approx(expected, abs=60)
    assert found.caa_identities == ("letsencrypt.org",)


def test_untrusted_authority_is_told(pebble: Pebble, tmp_path: Path) -> None:
    """Without its authority's certificate the server is not trusted, and the setting is named."""
    with pytest.raises(IssuanceProblem, match=r"is not trusted .* set acme\.ca_file"):
        Authority(pebble.directory)
