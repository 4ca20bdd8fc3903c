"""renewal/NAME.conf, line by line."""

from dataclasses import replace

import pytest

from chains import RENEWAL
from exoproxy.certs.certbot.renewal_conf import Renewal, parameters, updated

PATHS = {"archive_dir": "/le/archive/a", "cert": "/le/live/a/cert.pem"}
NEW = """\
version = 5.8.0
archive_dir = /le/archive/a
cert = /le/live/a/cert.pem

[renewalparams]
server = https://acme.example/directory
account = 0123456789abcdef0123456789abcdef
key_type = ecdsa
elliptic_curve = secp256r1
authenticator = dns-cloudflare
dns_cloudflare_credentials = /etc/exoproxy/cloudflare.token
"""
# As certbot and its users write them.
CERTBOTS = """\
# renew_before_expiry = 30 days
version = 2.11.0
archive_dir = /le/archive/a
cert = /le/live/a/cert.pem
unknown = 1, 2

# Options used in the renewal process
[renewalparams]
account = ffffffffffffffffffffffffffffffff # mine
authenticator = dns-cloudflare
dns_cloudflare_credentials = /root/cloudflare-secret.ini
server = https://acme.example/directory
  key_type=rsa
renew_hook = systemctl reload postfix
[[webroot_map]]
account = /var/www
[acme_renewal_info]
ari_retry_after = 2026-11-22T00:00:00
"""


def test_new_file() -> None:
    """A new file has all that certbot asks for."""

    assert updated("", RENEWAL, PATHS) == NEW


def test_same_again() -> None:
    """A file that is right already stays as it is."""

    assert updated(NEW, RENEWAL, PATHS) == NEW
    assert updated(NEW.replace("\n", "\r\n"), RENEWAL, PATHS) == NEW.replace("\n", "\r\n")


def test_only_what_must_change_is_changed() -> None:
    """Comments, other keys, other sections and the authenticator's options stay as they are."""
    expected = (
        CERTBOTS.replace(
            "account = ffffffffffffffffffffffffffffffff # mine", f"account = {RENEWAL.account}"
        )
        .replace("  key_type=rsa", "key_type = ecdsa")
        .replace("postfix\n", "postfix\nelliptic_curve = secp256r1\n")
    )

    assert updated(CERTBOTS, RENEWAL, PATHS) == expected


def test_another_authenticator() -> None:
    """A new authenticator comes with its options; what belongs to the old one does no harm."""
    conf = NEW.replace("dns-cloudflare", "standalone")
    conf = updated(conf.replace("/etc/exoproxy/cloudflare.token", "/old"), RENEWAL, PATHS)

    assert conf == NEW


def test_paths_are_corrected() -> None:
    """Files that were moved here with their tree name the tree they are in."""
    conf = updated(NEW, RENEWAL, {"archive_dir": "/new/archive/a", "cert": "/new/live/a/cert.pem"})

    assert conf == NEW.replace("/le/", "/new/")


@pytest.mark.parametrize("conf", ["archive_dir = /x\n", "[acme_renewal_info]\nx = 1\n", "\n"])
def test_what_is_missing_is_added(conf: str) -> None:
    """Whatever part of a file there is, the rest is added in its place."""
    whole = updated(conf, RENEWAL, PATHS)

    assert parameters(whole) == parameters(NEW)
    assert whole.index("cert = ") < whole.index("[renewalparams]")
    assert (
        whole.startswith("archive_dir") or "[acme_renewal_info]\nx = 1\n" in whole or conf == "\n"
    )
    assert updated(whole, RENEWAL, PATHS) == whole


@pytest.mark.parametrize(
    ("key_type", "expected"),
    [
        ("ecdsa-p256", {"key_type": "ecdsa", "elliptic_curve": "secp256r1"}),
        ("ecdsa-p384", {"key_type": "ecdsa", "elliptic_curve": "secp384r1"}),
        ("rsa-2048", {"key_type": "rsa", "rsa_key_size": "2048"}),
        ("rsa-4096", {"key_type": "rsa", "rsa_key_size": "4096"}),
    ],
)
def test_key_types(key_type: str, expected: dict[str, str]) -> None:
    """Each of our key types is named as certbot names it."""
    there = parameters(updated("", replace(RENEWAL, key_type=key_type), {}))

    assert {key: there[key] for key in there if key in ("key_type", *expected)} == expected


def test_what_is_not_known_is_left_out() -> None:
    """Without an account and an authenticator there are no such lines."""
    renewal = Renewal(server="s", account="", key_type="rsa-2048", authenticator="")

    assert parameters(updated("", renewal, {})) == {
        "server": "s",
        "key_type": "rsa",
        "rsa_key_size": "2048",
    }


def test_what_can_not_be_quoted_is_left_out() -> None:
    """An odd value in a tree that is taken over keeps nothing else from being written."""
    conf = updated("", replace(RENEWAL, options={"dns_cloudflare_x": "a\"\"\"b'''c"}), PATHS)

    assert parameters(conf) == parameters(updated("", replace(RENEWAL, options={}), PATHS))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("/plain path/%x", "/plain path/%x"),
        ("a, b", '"a, b"'),
        ("a # b", '"a # b"'),
        (' "', "' \"'"),
        ("it's", '"it\'s"'),
        ("'\"", '"""\'""""'),
    ],
)
def test_quotes(value: str, written: str) -> None:
    """Values that certbot would read otherwise are quoted, and read back."""
    conf = updated("", replace(RENEWAL, options={"dns_cloudflare_x": value}), {})

    assert f"dns_cloudflare_x = {written}\n" in conf
    if not value.endswith('"'):
        assert parameters(conf)["dns_cloudflare_x"] == value
