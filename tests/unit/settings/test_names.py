"""Host names, patterns, origins and URLs of a configuration file."""

import pytest

from exoproxy.rules.egress import AllowList
from exoproxy.settings.names import (
    DnsServer,
    HostPattern,
    parse_acme_directory,
    parse_email,
    parse_hostname,
    parse_origin,
    parse_url,
)

LABEL = "a" * 63


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("My-Example.Exosphere.APP", "my-example.exosphere.app"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("exosphere.localhost", "exosphere.localhost"),
        ("127.0.0.1.nip.io", "127.0.0.1.nip.io"),
        (f"{LABEL}.org", f"{LABEL}.org"),
    ],
)
def test_takes_host_names(value: str, expected: str) -> None:
    """Letters, digits and hyphens make a name, which comes out in lower case."""
    assert parse_hostname(value) == expected


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ("https://a.example.org/x", "is a URL; write a.example.org"),
        ("https://a.example.org:8443", "is a URL; write a.example.org"),
        ("*.example.org", "has a wildcard; write example.org"),
        ("*." * 500, "has a wildcard; write my-example"),
        ("a.example.org/", "has a path; write a.example.org"),
        ("a.example.org:443", "has a port; write a.example.org"),
        ("a.example.org.", "ends in a dot; write a.example.org"),
        ("localhost.", "ends in a dot; write localhost"),
        ("127.0.0.1", "looks like, an address"),
        ("127.1", "looks like, an address"),
        ("0x7f000001", "looks like, an address"),
        ("2130706433", "looks like, an address"),
        ("0177.0.0.1", "looks like, an address"),
        ("example.0X", "looks like, an address"),
        ("[::1]", "is an address"),
        ("::1", "is an address"),
        ("\uff11\uff12\uff17.0.0.1", "outside ASCII"),
        ("bücher.example", "outside ASCII"),
        ("\u212aeystone.example.org", "outside ASCII"),
        ("a_b.example.org", "is no host name"),
        ("-a.example.org", "is no host name"),
        ("a-.example.org", "is no host name"),
        ("a..example.org", "is no host name"),
        (".example.org", "is no host name"),
        ("a b.example.org", "is no host name"),
        ("a\n.example.org", "is no host name"),
        ("a.example.org\n", "is no host name"),
        ("u@a.example.org", "is no host name"),
        ("a%2eb", "is no host name"),
        ("a\\b", "is no host name"),
        ("a#b", "is no host name"),
        (f"{LABEL}a.org", "is no host name"),
        (".".join([LABEL] * 4), "is no host name"),
        ("", "should be a host name"),
        (5, "should be a host name"),
        (None, "should be a host name"),
        (["a"], "should be a host name"),
    ],
)
def test_refuses_what_is_no_host_name(value: object, match: str) -> None:
    """URLs, addresses, their numeric look-alikes and odd characters are refused by name."""
    with pytest.raises(ValueError, match=match):
        parse_hostname(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Keystone.example.org", HostPattern("keystone.example.org")),
        ("keystone.example.org:5000", HostPattern("keystone.example.org", 5000)),
        ("*.Example.org", HostPattern("example.org", subdomains=True)),
        ("203.0.113.7:5000", HostPattern("203.0.113.7", 5000)),
        ("[2001:DB8::7]:5000", HostPattern("2001:db8::7", 5000)),
        ("[2001:db8::7]", HostPattern("2001:db8::7")),
    ],
)
def test_takes_host_patterns(value: str, expected: HostPattern) -> None:
    """HOST, HOST:PORT and *.SUFFIX; what is printed can be read again."""
    assert HostPattern.parse(value) == expected
    assert HostPattern.parse(str(expected)) == expected
    assert HostPattern.parse(expected) is expected
    # What the settings take, the rules must take as well.
    assert AllowList.parse([str(expected)])


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ("https://keystone.example.org:5000/v3", "is a URL; write keystone.example.org:5000"),
        ("keystone.example.org:5000/v3", "has a path; write keystone.example.org:5000"),
        ("user@keystone.example.org", "no user name"),
        ("*", "every host; write `allow_any_public: true`"),
        ("*.", "every host"),
        ("*.example.org:443", r"write \*.example.org \(any port\)"),
        ("*example.org", "wildcard in a wrong place"),
        ("a.*.org", "wildcard in a wrong place"),
        ("*.*.org", "has a wildcard; write org"),
        ("*.10.0.0.1", "looks like, an address"),
        ("2001:db8::7", "IPv6 in brackets"),
        ("[::ffff:127.0.0.1]", "write 127.0.0.1"),
        ("[fe80::1%eth0]", "has a zone"),
        ("[127.0.0.1]", "is an address"),
        ("[::1", "is an address"),
        ("127.1", "looks like a number"),
        ("0x7f000001:80", "looks like a number"),
        ("2130706433", "looks like a number"),
        ("0177.0.0.1", "looks like a number"),
        ("\uff11\uff12\uff17.0.0.1", "outside ASCII"),
        ("a:0", "wrong port"),
        ("a:99999", "wrong port"),
        ("a:", "wrong port"),
        (":5000", "should be a host name"),
        ("a,b", "is no host name"),
        ("a b", "is no host name"),
        (5000, "HOST, HOST:PORT"),
    ],
)
def test_refuses_other_host_patterns(value: object, match: str) -> None:
    """What could reach more, or other, than an operator thinks is refused, with what to write."""
    with pytest.raises(ValueError, match=match):
        HostPattern.parse(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("9.9.9.9", DnsServer("9.9.9.9")),
        ("2620:fe::fe", DnsServer("2620:fe::fe")),
        ("[2620:fe::fe]:5353", DnsServer("2620:fe::fe", 5353)),
        ("dns.example.org:53", DnsServer("dns.example.org")),
    ],
)
def test_takes_dns_servers(value: str, expected: DnsServer) -> None:
    """A DNS server is a host with port 53, unless another stands there."""
    assert DnsServer.parse(value) == expected
    assert DnsServer.parse(str(expected)) == expected
    assert DnsServer.parse(expected) is expected


@pytest.mark.parametrize("value", ["9.9.9", "a:b:c", "dns.example.org:0", "", 53])
def test_refuses_other_dns_servers(value: object) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match=r".{20}"):
        DnsServer.parse(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("https://My-Example.exosphere.app", "https://my-example.exosphere.app"),
        ("https://localhost:8443", "https://localhost:8443"),
        ("https://[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_takes_origins(value: str, expected: str) -> None:
    """An origin comes out as browsers send it."""
    assert parse_origin(value) == expected


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ("https://a.example.org/", "slash at the end; write https://a.example.org"),
        ("https://a.example.org/x?y", "write https://a.example.org"),
        ("https://a.example.org:443", "write https://a.example.org"),
        ("a.example.org", "has no scheme; write https://a.example.org"),
        ("http://a.example.org", "should be https"),
        ("ftp://a.example.org", "should begin with https"),
        ("https://u@a.example.org", "no user name"),
        ("https://*.example.org", "list each origin"),
        ("*", "list each origin"),
        ("null", "any sandboxed page"),
        ("https://", "names no host; write https://my-example"),
        ("https:///x", "write https://my-example"),
        ("https://127.1", "looks like a number"),
        (["https://a.example.org"], "should be a web origin"),
    ],
)
def test_refuses_other_origins(value: object, match: str) -> None:
    """What no browser sends, or anyone can be, is refused, with what to write."""
    with pytest.raises(ValueError, match=match):
        parse_origin(value)


@pytest.mark.parametrize(
    "value",
    ["https://acme.example.org/directory", "http://127.0.0.1:8080/client/v4", "http://[::1]:1"],
)
def test_takes_urls(value: str) -> None:
    """https anywhere, http on this host."""
    assert parse_url(value) == value


@pytest.mark.parametrize(
    "value",
    [
        "http://acme.example.org/",
        "http://127.0.0.1.example.org/",
        "ftp://acme.example.org/",
        "acme.example.org",
        "https://u:p@acme.example.org/",
        "https://a b/",
        "https://a.example.org/\n",
        "https://",
        5,
    ],
)
def test_refuses_other_urls(value: object) -> None:
    """A token never goes over http to another host."""
    with pytest.raises(ValueError, match=r".{20}"):
        parse_url(value)


@pytest.mark.parametrize(
    "value", ["letsencrypt", "letsencrypt-staging", "https://127.0.0.1:14000/dir"]
)
def test_takes_acme_directories(value: str) -> None:
    """Two short names, and any URL."""
    assert parse_acme_directory(value) == value


@pytest.mark.parametrize("value", ["letsencript", "Letsencrypt", 1])
def test_refuses_other_acme_directories(value: object) -> None:
    """A misspelt short name is told, not taken for a URL."""
    with pytest.raises(ValueError, match="should be letsencrypt, letsencrypt-staging"):
        parse_acme_directory(value)


def test_takes_an_email_address() -> None:
    """The domain comes out in lower case, the local part stays."""
    assert parse_email("You.There+x@Example.ORG") == "You.There+x@example.org"


@pytest.mark.parametrize(
    "value", ["you", "@example.org", "a@b@c", "a b@c.org", "a@127.1", "a..b@c", 5]
)
def test_refuses_other_email_addresses(value: object) -> None:
    """What an authority would refuse is refused here."""
    with pytest.raises(ValueError, match="should be an e-mail address"):
        parse_email(value)
