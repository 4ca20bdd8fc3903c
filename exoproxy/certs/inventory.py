"""What there is for every configured certificate, and what lies in the store beside: read here.

`status` says what it means. Nothing is written, nothing is asked of the network, and nothing
raised for what files hold. Called by `cli` and `check`.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Final

from exoproxy.certs.context import CertificateProblem, process_user, read_certificate
from exoproxy.certs.state import load
from exoproxy.certs.status import Known, Origin
from exoproxy.certs.store import Store
from exoproxy.certs.wanted import Wanted, sites, store_of, wanted
from exoproxy.settings.load import state_dir
from exoproxy.settings.model import Settings
from exoproxy.settings.sites import Certificate, CertificateFiles

_LEAF: Final = "leaf.pem"


def inventory(settings: Settings) -> list[Known]:
    """Return what there is for each configured name, then what else is stored."""
    store = store_of(settings)
    orders = {each.name: each for each in wanted(settings)}
    found = []
    for key, site, names in sites(settings):
        about = Known(key=key, name=names[0], names=names, origin=_origin(site.certificate))
        if isinstance(site.certificate, CertificateFiles):
            found.append(_in_file(about, site.certificate.cert_file))
        elif site.certificate == "local":
            leaf = state_dir(settings) / "local" / about.name / _LEAF
            found.append(_in_file(about, leaf))
        else:
            found.append(_stored(about, store, orders[about.name]))
    for name in store.names():
        if name not in orders:
            about = Known(key="", name=name, names=(), origin="acme")
            found.append(_stored(about, store, None))
    return found


def closed(store: Store) -> str:
    """Return why this process can't look into the store; empty if it can, or there is none yet."""
    try:
        os.scandir(store.folder / "archive").close()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return (
            f"The store {store.folder} can't be read by {process_user()} ({error.strerror}): run "
            "this with sudo."
        )
    return ""


def _origin(certificate: Certificate) -> Origin:
    return "files" if isinstance(certificate, CertificateFiles) else certificate


def _in_file(about: Known, path: Path) -> Known:
    """Add the certificate of a file; without the file there is none on this host."""
    try:
        return replace(about, certificate=read_certificate(path), path=path)
    except CertificateProblem as problem:
        absent = isinstance(problem.__cause__, FileNotFoundError)
        return replace(about, path=path, trouble="" if absent else str(problem))


def _stored(about: Known, store: Store, order: Wanted | None) -> Known:
    """Add the certificate of the store, and what is remembered of it."""
    if trouble := closed(store):
        return replace(about, trouble=trouble)
    try:
        state = load(store.state_file(about.name))
    except ValueError:
        # certbot's --cert-name is free text.
        return replace(about, trouble="Its name is no host's, so that exoproxy leaves it alone.")
    newest = store.newest(about.name)
    if newest is None:
        return replace(about, state=state)
    # What others may use, as it doesn't change its name; certbot may have been cut off before it.
    link = store.folder / "live" / newest.lineage / "fullchain.pem"
    return replace(
        about,
        state=state,
        certificate=newest.certificate,
        life=order.life(newest, state) if order else None,
        window=order.window(newest, state) if order else None,
        path=link if link.resolve() == newest.fullchain.resolve() else newest.fullchain,
    )
