"""The certificate that is served, beside the one that should be."""

from exoproxy.admin.certificate import standing
from exoproxy.admin.disk import OnDisk
from exoproxy.rules.renewal import Renew
from process import DAY, NOW, UAP, certificate, keeper, process, serving

FILES = {"cert_file": "/etc/tls/cert.pem", "key_file": "/etc/tls/key.pem"}


def with_files() -> dict[str, object]:
    region = {**UAP["uap"]["regions"]["IU"], "certificate": FILES}
    return {**UAP, "uap": {**UAP["uap"], "regions": {"IU": region}}}


def test_the_newest_in_the_store_is_what_should_be_served() -> None:
    """One that is stored and not served shows, with what comes next for it."""
    old, new = certificate(5 * DAY), certificate(80 * DAY)
    kept = keeper(new, Renew("is due"), failures=2, sentence="No.")
    stands = standing(process(certificate=serving(old), keeper=kept), OnDisk())

    assert stands.source == "acme"
    assert not stands.served_is_stored
    assert stands.stored == new
    assert stands.next_action == Renew("is due")
    assert (stands.failures, stands.trouble) == (2, "No.")
    assert stands.left(NOW) == 5 * DAY


def test_what_is_stored_is_served() -> None:
    """The usual state."""
    here = certificate()
    stands = standing(process(certificate=serving(here), keeper=keeper(here)), OnDisk())

    assert stands.served_is_stored


def test_a_temporary_one_is_not_what_should_be_served() -> None:
    """While there is none in the store, what is served is not what should be."""
    temporary = serving(certificate(), temporary=True)
    stands = standing(process(certificate=temporary, keeper=keeper(None)), OnDisk())

    assert not stands.served_is_stored


def test_files_are_compared() -> None:
    """New files that nobody has told the service about are seen; unreadable ones tell nothing."""
    here = certificate()
    running = process(with_files(), certificate=serving(here), keeper=keeper(None))

    assert standing(running, OnDisk(files=here)).served_is_stored
    assert not standing(running, OnDisk(files=certificate())).served_is_stored
    assert standing(running, OnDisk()).served_is_stored
    assert standing(running, OnDisk()).source == "files"
