"""What an authority says, as sentences."""

import pytest

from exoproxy.certs.acme.refusal import (
    REGISTER_BOUND,
    Complaint,
    Refusal,
    clean,
    complaint_of,
    explain,
    explain_proof,
)

PREFIX = "urn:ietf:params:acme:error:"

# Every error that RFC 8555 section 6.7, RFC 9773 and the profiles draft name and that can come of
# what exoproxy asks for, with a part of the sentence that is its own.
ERRORS = {
    "accountDoesNotExist": "check that acme.directory is the authority that you mean",
    "alreadyReplaced": "check that no other host or certbot renews the same names",
    "badCSR": "choose another acme.key_type",
    "badNonce": "something between here and there repeats or keeps answers",
    "badPublicKey": "it does not take the account's key",
    "badSignatureAlgorithm": "signatures of the account's kind of key",
    "caa": "add a CAA record that names this authority, or remove the one that forbids it",
    "connection": "make port 80 reachable from the internet",
    "dns": "check that the name servers of the zone answer from everywhere",
    "dnssec": "mend the zone's signatures",
    "externalAccountRequired": "set acme.eab_key_id and acme.eab_key_file",
    "invalidContact": "correct acme.email",
    "invalidProfile": "choose another acme.profile",
    "malformed": "report this sentence as a fault of exoproxy or of the authority",
    "orderNotReady": "it does not hold all names for proved",
    "rateLimited": "find out what else asks for certificates for the same names",
    "rejectedIdentifier": "use a host name under a public domain that is yours",
    "serverInternal": "look at the authority's status page",
    "tls": "check what redirects port 80 of that name to https",
    "unauthorized": "which may have been deactivated",
    "unsupportedContact": "it does not take that kind of contact",
    "unsupportedIdentifier": "use a DNS name as hostname",
    "userActionRequired": "read what it says and do it there",
}


@pytest.mark.parametrize(("kind", "part"), ERRORS.items())
def test_each_error_has_its_sentence(kind: str, part: str) -> None:
    """The sentence names the authority, what was asked, why not, its own words, and what to do."""
    complaint = complaint_of({"type": PREFIX + kind, "detail": "For reasons."})
    assert complaint is not None
    sentence = explain(complaint, host="ca.example", doing="take an order for a.example.org")

    start = "ca.example refused to take an order for a.example.org, because "
    assert sentence.startswith(start)
    assert '(it says "For reasons")' in sentence
    assert part in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_unknown_error_is_shown_as_it_is() -> None:
    """An error that no RFC names is passed on with the authority's words."""
    complaint = complaint_of({"type": "https://ca.example/errors/quirk", "detail": "Be patient"})
    assert complaint is not None

    assert explain(complaint, host="ca.example", doing="issue the certificate") == (
        "ca.example refused to issue the certificate, because of an error that it calls "
        'https://ca.example/errors/quirk (it says "Be patient"): do what it says, or try again '
        "later."
    )


def test_time_and_page_end_the_sentence() -> None:
    """When it may be tried again, and where to read, are told where they are known."""
    complaint = complaint_of(
        {"type": PREFIX + "userActionRequired", "instance": "https://ca.example/terms"}
    )
    assert complaint is not None
    sentence = explain(complaint, host="ca.example", doing="x", wait="; not before noon")

    assert sentence.endswith("do it there; not before noon; see https://ca.example/terms.")


@pytest.mark.parametrize("page", ["javascript:alert(1)", "http://ca.example/", 7])
def test_page_is_a_https_url(page: object) -> None:
    """An operator is sent nowhere else."""
    complaint = complaint_of({"type": PREFIX + "userActionRequired", "instance": page})

    assert complaint == Complaint(kind="userActionRequired")


@pytest.mark.parametrize("kind", ["unauthorized", "malformed", "externalAccountRequired"])
def test_wrong_binding_is_told_from_a_deactivated_account(kind: str) -> None:
    """A refused registration with a binding is about the binding."""
    sentence = explain(Complaint(kind=kind), host="ca.example", doing=REGISTER_BOUND)

    assert "check acme.eab_key_id and acme.eab_key_file" in sentence


@pytest.mark.parametrize(
    ("challenge", "kind", "part"),
    [
        ("dns-01", "unauthorized", "it did not find the value it asked for in the TXT record"),
        ("dns-01", "incorrectResponse", "raise acme.dns.propagation_timeout if some name servers"),
        ("dns-01", "dns", "it could not find the TXT record"),
        ("dns-01", "dnssec", "mend the zone's signatures"),
        ("dns-01", "caa", "add a CAA record"),
        ("http-01", "unauthorized", "leads to this exoproxy and to no other server"),
        ("http-01", "incorrectResponse", "leads to this exoproxy and to no other server"),
        ("http-01", "malformed", "leads to this exoproxy and to no other server"),
        ("http-01", "connection", "make port 80 reachable from the internet"),
        ("http-01", "dns", "give the name an A or AAAA record that leads to this host"),
        ("http-01", "quirk", "of an error that it calls quirk"),
    ],
)
def test_failed_proof_has_its_sentence(challenge: str, kind: str, part: str) -> None:
    """What to do about a name that was not proved depends on how it was to be proved."""
    sentence = explain_proof(
        Complaint(kind=kind, detail="No"), host="ca.example", domain="a.example.org", kind=challenge
    )

    start = f"ca.example does not hold a.example.org for proved by {challenge}, because "
    assert sentence.startswith(start)
    assert part in sentence
    assert 'it says "No"' in sentence


def test_subproblem_names_the_name() -> None:
    """Of several names the first refused one is named, with its own error where there is one."""
    subproblem = {
        "type": PREFIX + "caa",
        "detail": "CAA says no",
        "identifier": {"type": "dns", "value": "b.example.org"},
    }
    document = {"type": PREFIX + "compound", "detail": "See below", "subproblems": [subproblem]}
    complaint = complaint_of(document)

    assert complaint == Complaint(kind="caa", detail="CAA says no", domain="b.example.org")
    assert complaint is not None
    assert "refused to issue (b.example.org), because a CAA record" in explain(
        complaint, host="ca.example", doing="issue"
    )


def test_error_of_its_own_stays_above_its_subproblems() -> None:
    """A document with an ACME error of its own keeps it."""
    document = {
        "type": PREFIX + "rateLimited",
        "detail": "Slowly",
        "subproblems": [{"type": PREFIX + "dns", "detail": "?"}],
    }

    assert complaint_of(document) == Complaint(kind="rateLimited", detail="Slowly")


@pytest.mark.parametrize(
    "document", [None, [], "no", 7, {}, {"type": None}, {"type": ["x"]}, {"detail": "x"}]
)
def test_what_is_no_problem_document_is_none(document: object) -> None:
    """Any JSON may come; only what names an error is a complaint."""
    assert complaint_of(document) is None


@pytest.mark.parametrize(
    "oddity",
    [
        {"detail": 7},
        {"subproblems": "x"},
        {"subproblems": []},
        {"subproblems": [7]},
        {"identifier": "x"},
        {"identifier": {"value": None}},
    ],
)
def test_odd_members_are_left_out(oddity: dict[str, object]) -> None:
    """What is not of its form is as good as missing."""
    assert complaint_of({"type": PREFIX + "dns", **oddity}) == Complaint(kind="dns")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\r\nlines\tand   blanks ", "two lines and blanks"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ("left\u202eright", "left right"),
        ("zażółć", "zażółć"),
        ("\ud800", ""),
        ("a" * 10_000, "a" * 300 + "…"),
        (None, ""),
        (7, ""),
    ],
)
def test_foreign_text_is_one_bounded_line(text: object, shown: str) -> None:
    """Neither control characters nor length nor direction marks of others reach a terminal."""
    assert clean(text) == shown


def test_words_of_the_authority_do_not_end_their_quotes() -> None:
    """What it says can't be mistaken for what exoproxy says."""
    complaint = Complaint(kind="dns", detail='no". Now run "rm')

    assert "(it says \"no'. Now run 'rm\")" in explain(complaint, host="ca.example", doing="x")


@pytest.mark.parametrize(
    ("status", "kind", "final"),
    [
        (400, "malformed", True),
        (403, "unauthorized", True),
        (404, "", True),
        (410, "", True),
        (403, "", False),
        (200, "", False),
        (400, "badNonce", False),
        (403, "rateLimited", False),
        (403, "userActionRequired", False),
        (429, "quirk", False),
        (500, "serverInternal", False),
        (503, "malformed", False),
    ],
)
def test_refusal_is_final_or_passes(status: int, kind: str, final: bool) -> None:
    """Only what would be refused again in the same way is final."""
    assert Refusal("No.", kind=kind, status=status).final is final
