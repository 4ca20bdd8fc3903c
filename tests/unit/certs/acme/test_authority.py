"""What an ACME server's answers become."""

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import authority as minica
from exoproxy.certs.acme.authority import Authority, Binding
from exoproxy.certs.acme.order import Authorization, Challenge, Order
from exoproxy.certs.acme.refusal import Complaint, Refusal
from exoproxy.certs.problem import IssuanceProblem
from scripted_acme import ADDRESS, Said, ScriptedAcme, scripted_acme

KEY = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
)
ORDER = {
    "status": "pending",
    "identifiers": [{"type": "dns", "value": "a.example.org"}],
    "authorizations": ["https://ca.example/authz/1"],
    "finalize": "https://ca.example/order/1/finalize",
}
DNS_01 = {"type": "dns-01", "url": "https://ca.example/c/1", "status": "pending", "token": "To-k_n"}
HTTP_01 = {"type": "http-01", "url": "https://ca.example/c/2", "status": "valid", "token": "t"}
AUTHORIZATION = {
    "status": "pending",
    "identifier": {"type": "dns", "value": "a.example.org"},
    "challenges": [DNS_01, HTTP_01, {"type": "quirk-01", "url": "https://ca.example/c/3"}],
}


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> minica.Authority:
    """Who vouches for the server."""
    return minica.Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def server(trust: minica.Authority) -> Iterator[ScriptedAcme]:
    """A server that says what a test tells it to."""
    with scripted_acme(trust.serve(ADDRESS)) as acme:
        yield acme


@pytest.fixture
def authority(server: ScriptedAcme, trust: minica.Authority) -> Authority:
    """That server with an account."""
    found = Authority(server.directory, ca_file=trust.file)
    found.sign_with(KEY, f"{server.origin}/account/1")
    return found


def test_directory_tells_what_is_offered(server: ScriptedAcme, trust: minica.Authority) -> None:
    """What the directory says of the authority is there, cleaned for showing."""
    meta = {
        "termsOfService": "https://ca.example/terms\n",
        "externalAccountRequired": True,
        "caaIdentities": ["ca.example", 7],
        "profiles": {"short\x1blived": "six days"},
    }
    offer = server.offer(meta=meta, renewalInfo="https://ca.example/renewal/")
    server.answers["/directory"] = Said(content=offer)
    found = Authority(server.directory, ca_file=trust.file)

    assert found.url == server.directory
    assert found.terms == "https://ca.example/terms"
    assert found.needs_binding
    assert found.caa_identities == ("ca.example", "")
    assert found.profiles == {"short lived": "six days"}
    assert found.renewal_info == "https://ca.example/renewal/"


def test_directory_may_tell_little(authority: Authority) -> None:
    """Three URLs are enough; without a Date there is no skew to speak of."""
    assert authority.terms == ""
    assert not authority.needs_binding
    assert authority.caa_identities == ()
    assert authority.profiles == {}
    assert authority.renewal_info is None
    assert authority.clock_skew == 0.0


@pytest.mark.parametrize(
    "content",
    [
        [],
        None,
        "directory",
        {},
        {"newNonce": "https://ca.example/n", "newAccount": "https://ca.example/a"},
        {"newNonce": 1, "newAccount": 2, "newOrder": 3},
        {"newNonce": "", "newAccount": "", "newOrder": "", "meta": "x"},
        {"newNonce": "", "newAccount": "", "newOrder": "", "meta": {"profiles": ["x"]}},
        {"newNonce": "", "newAccount": "", "newOrder": "", "renewalInfo": 7},
    ],
)
def test_what_is_no_directory_is_told(
    server: ScriptedAcme, trust: minica.Authority, content: Any
) -> None:
    """JSON of another form is no ACME directory, and the setting is named."""
    server.answers["/directory"] = Said(content=content)
    with pytest.raises(IssuanceProblem, match=r"not ACME's .*: check acme\.directory"):
        Authority(server.directory, ca_file=trust.file)


def test_order_is_read(authority: Authority, server: ScriptedAcme) -> None:
    """An order has its URL from Location, and its state from the content."""
    server.answers["/order"] = Said(
        status=201, content=ORDER, fields={"Location": "/order/1", "Retry-After": "5"}
    )
    placed = authority.new_order(["a.example.org"], profile=None, replaces=None)
    invalid = {"status": "invalid", "error": {"type": "urn:ietf:params:acme:error:caa"}}
    server.answers["/order/1"] = Said(content=ORDER | invalid, fields={"Retry-After": "5"})
    asked, retry_after = authority.order(placed.url)

    assert placed == Order(
        url=f"{server.origin}/order/1",
        status="pending",
        authorizations=("https://ca.example/authz/1",),
        finalize="https://ca.example/order/1/finalize",
    )
    assert asked.status == "invalid"
    assert asked.complaint == Complaint(kind="caa")
    assert retry_after == 5.0


@pytest.mark.parametrize(
    "oddity",
    [{"status": None}, {"authorizations": None}, {"finalize": 7}, {"certificate": ["x"]}],
)
def test_odd_order_is_told(
    authority: Authority, server: ScriptedAcme, oddity: dict[str, Any]
) -> None:
    """An order without what an order has ends in a sentence."""
    server.answers["/order/1"] = Said(content=ORDER | oddity)
    with pytest.raises(Refusal, match="not ACME's"):
        authority.order(f"{server.origin}/order/1")


def test_order_without_a_place_is_told(authority: Authority, server: ScriptedAcme) -> None:
    """Without Location nobody could ask for the order again."""
    server.answers["/order"] = Said(status=201, content=ORDER)
    with pytest.raises(Refusal, match="not ACME's"):
        authority.new_order(["a.example.org"], profile=None, replaces=None)


def test_authorization_is_read(authority: Authority, server: ScriptedAcme) -> None:
    """Challenges that exoproxy can do have what has to be shown; the others are only named."""
    server.answers["/authz"] = Said(content=AUTHORIZATION)
    found, retry_after = authority.authorization(f"{server.origin}/authz")
    dns, http = found.challenges
    digest = hashlib.sha256(http.value.replace("t.", "To-k_n.", 1).encode()).digest()

    assert retry_after is None
    assert found == Authorization(
        url=f"{server.origin}/authz",
        domain="a.example.org",
        status="pending",
        challenges=(dns, http),
        offered=("dns-01", "http-01", "quirk-01"),
    )
    assert dns == Challenge(
        kind="dns-01",
        domain="a.example.org",
        token="To-k_n",
        value=base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        record="_acme-challenge.a.example.org",
        url="https://ca.example/c/1",
    )
    assert (http.kind, http.record, http.pending) == ("http-01", "", False)


def test_failed_challenge_is_the_authorization_s_complaint(
    authority: Authority, server: ScriptedAcme
) -> None:
    """What went wrong with a challenge is why the name is not proved."""
    error = {"type": "urn:ietf:params:acme:error:dns", "detail": "NXDOMAIN"}
    failed = {"status": "invalid", "challenges": [HTTP_01, DNS_01 | {"error": error}]}
    server.answers["/authz"] = Said(content=AUTHORIZATION | failed)
    found, _ = authority.authorization(f"{server.origin}/authz")

    assert found.complaint == Complaint(kind="dns", detail="NXDOMAIN")


@pytest.mark.parametrize("token", ["", "../../etc/passwd", "a b", "a\n", "a" * 257, None, "ż"])
def test_token_has_no_character_of_paths(
    authority: Authority, server: ScriptedAcme, token: object
) -> None:
    """A token becomes part of a path and of a record: only base64url is taken."""
    challenges = [HTTP_01 | {"token": token}]
    server.answers["/authz"] = Said(content=AUTHORIZATION | {"challenges": challenges})
    with pytest.raises(Refusal, match="not ACME's"):
        authority.authorization(f"{server.origin}/authz")


def test_account_that_is_not_valid_is_not_used(authority: Authority, server: ScriptedAcme) -> None:
    """A key whose account was deactivated is told with what to do."""
    server.answers["/account"] = Said(
        content={"status": "deactivated"}, fields={"Location": "/account/1"}
    )
    with pytest.raises(IssuanceProblem, match=r"of the stored key deactivated: move the account's"):
        authority.register(KEY, email=None, binding=None)


def test_renewal_information_is_passed_on(server: ScriptedAcme, trust: minica.Authority) -> None:
    """It is asked for without an account, below the URL that the directory names."""
    offer = server.offer(renewalInfo=f"{server.origin}/renewal/")
    server.answers["/directory"] = Said(content=offer)
    server.answers["/renewal/AAAA.BBBB"] = Said(content={"x": 1}, fields={"Retry-After": "60"})
    found = Authority(server.directory, ca_file=trust.file)

    assert found.suggestion("AAAA.BBBB") == ({"x": 1}, 60.0)


def test_keys_are_not_printed() -> None:
    """The key of a binding is in no representation, and so in no log."""
    assert "secret" not in repr(Binding(key_id="kid-1", key="secret"))
