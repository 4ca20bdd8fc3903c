"""May the service read what it needs, and may nobody else change it?

What `check` tells without the network (a secret's or a key's mode, a missing client) is not told
again. The service's user is often a dynamic one, which exists while the service runs: before that
it is taken for anybody. Owners and modes come from `network`.
"""

import stat
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Final

from exoproxy.certs.wanted import wanted
from exoproxy.live.finding import Finding, failed, note, ok
from exoproxy.live.network import Network, ServiceUser, Status
from exoproxy.settings.load import state_dir
from exoproxy.settings.model import Settings
from exoproxy.settings.sites import CertificateFiles

# Closed to all but root, and opened to a service with DynamicUser= by a mount of its own.
_PRIVATE: Final = Path("/var/lib/private")
_ROOT: Final = 0
# What the units start, and what runs it; their ProtectHome= hides the homes.
_ENVIRONMENT: Final = Path("/opt/exoproxy")
_PROGRAM: Final = (_ENVIRONMENT / "bin/exoproxy", _ENVIRONMENT / "bin/python3")
# What the units hand over (LoadCredential=).
_HANDED: Final = {
    "cloudflare": Path("/etc/exoproxy/cloudflare.token"),
    "rfc2136": Path("/etc/exoproxy/tsig.key"),
}
_HOMES: Final = (Path("/home"), Path("/root"), Path("/run/user"))


def findings(settings: Settings, configuration: Path, network: Network) -> Iterator[Finding]:
    """Yield a finding for each file and folder that is there."""
    reader = network.service_user()
    if reader is None and network.unit("exoproxy-main.service") is None:
        # Without systemd there is no dynamic user: who asks is taken for who serves.
        reader = ServiceUser(uid=network.user(), gids=frozenset())
    yield from _of_program(reader, network)
    yield from _of_readable(configuration, reader, network)
    main = settings.main
    folders = [main.client.root, main.client.overrides] if main else []
    for folder in folders:
        yield from _of_readable(folder, reader, network)
    for site in [main, *(settings.uap.regions.values() if settings.uap else ())]:
        if site is not None and isinstance(site.certificate, CertificateFiles):
            yield from _of_readable(site.certificate.cert_file, reader, network)
            yield from _of_readable(site.certificate.key_file, reader, network, secret=True)
    if wanted(settings) and settings.acme.challenge == "dns-01":
        dns = settings.acme.dns
        yield from _of_secret(dns.token_file, _HANDED[dns.provider], reader, network)
    yield from _of_state(state_dir(settings), reader, network)


def _of_program(reader: ServiceUser | None, network: Network) -> Iterator[Finding]:
    """Find why systemd may not start the program, of which it says but "Permission denied"."""
    for path in _PROGRAM:
        try:
            status = network.status(path)
            closed = _closed(status, reader, network)
        except OSError:
            # The units here start another.
            continue
        if any(home in status.real.parents for home in _HOMES):
            yield failed(
                str(path),
                f"is {status.real}, and the service sees no homes: make the environment anew with "
                f"the system's Python, `/usr/bin/python3 -m venv --clear {_ENVIRONMENT}`, and "
                "install again",
            )
        elif closed is not None:
            yield failed(
                str(path),
                "can't be run by the service: `chmod -R go+rX "
                f"{_ENVIRONMENT}` lets it in; a umask of 077 made it so",
            )
            return


def _of_readable(
    path: Path, reader: ServiceUser | None, network: Network, *, secret: bool = False
) -> Iterator[Finding]:
    """Find who may change a file or folder, and whether the service may read it."""
    subject = str(path)
    try:
        status = network.status(path)
        closed = _closed(status, reader, network)
    except FileNotFoundError:
        # What has to be there is asked for by `check` itself.
        return
    except OSError as error:
        yield note(
            subject, f"can't be looked at by this user ({error.strerror}); run this with sudo"
        )
        return
    if status.mode & (stat.S_IWOTH | (stat.S_IWGRP if status.gid != _ROOT else 0)):
        yield failed(
            subject,
            f"can be changed by others than its owner (mode {_octal(status)}), who then decide "
            f"what is served: `chmod go-w {quote(subject)}`",
        )
    elif closed is not None:
        where, others = closed
        who = "the user exoproxy" if reader else "the service, whose user is made when it starts"
        way = f"`chmod {others} {quote(str(where))}` lets it in"
        if secret and where == status.real:
            file = quote(str(where))
            way = (
                "make that user for good (`useradd --system exoproxy`) and give it the key: "
                f"`chgrp exoproxy {file} && chmod g+r {file}`"
            )
        yield failed(subject, f"can't be read by {who}: {way}")
    else:
        yield ok(subject, f"can be read by the service, and changed by {status.user} alone")


def _closed(
    status: Status, reader: ServiceUser | None, network: Network
) -> tuple[Path, str] | None:
    """Return the first path on the way that is closed to the service, and what would open it."""
    for parent in reversed(status.real.parents):
        if parent != _PRIVATE and not _permits(network.status(parent), reader, execute=True):
            return parent, "o+x"
    is_folder = stat.S_ISDIR(status.mode)
    if not _permits(status, reader, read=True, execute=is_folder):
        return status.real, "o+rx" if is_folder else "o+r"
    return None


def _permits(
    status: Status, reader: ServiceUser | None, *, read: bool = False, execute: bool = False
) -> bool:
    """Tell what path_resolution(7) says of a user's access: one class of bits alone counts."""
    shift = 0
    if reader is not None and reader.uid == _ROOT:
        return True
    if reader is not None and status.uid == reader.uid:
        shift = 6
    elif reader is not None and status.gid in reader.gids:
        shift = 3
    needed = (stat.S_IROTH if read else 0) | (stat.S_IXOTH if execute else 0)
    return status.mode >> shift & needed == needed


def _of_secret(
    path: Path, handed: Path, reader: ServiceUser | None, network: Network
) -> Iterator[Finding]:
    try:
        status = network.status(path)
        closed = _closed(status, reader, network)
    except OSError:
        return
    subject = str(path)
    if status.uid not in {_ROOT, network.user(), reader.uid if reader else _ROOT}:
        yield failed(
            subject,
            f"belongs to {status.user}, who can read the key to your zone: "
            f"`chown root: {quote(subject)}`",
        )
    elif status.mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield note(
            subject,
            f"is open to more than its owner (mode {_octal(status)}); `chmod 600 {quote(subject)}` "
            "is enough, as systemd hands it to the service",
        )
    elif path != handed and closed and network.unit("exoproxy-main.service") is not None:
        yield note(
            subject,
            f"can be read by {status.user} alone, and the units hand {handed} to the service: "
            f"`install -m 600 {quote(subject)} {handed}`, and let acme.dns.token_file name that; "
            "or change LoadCredential= by `systemctl edit`",
        )
    else:
        yield ok(subject, f"can be read by {status.user} alone")


def _of_state(path: Path, reader: ServiceUser | None, network: Network) -> Iterator[Finding]:
    subject = str(path)
    try:
        status = network.status(path)
    except FileNotFoundError:
        yield note(subject, "is not there yet; systemd makes it when the service starts")
        return
    except OSError as error:
        yield note(
            subject, f"can't be looked at by this user ({error.strerror}); run this with sudo"
        )
        return
    if status.mode & stat.S_IWOTH:
        yield failed(
            subject,
            f"can be written by every user of this machine (mode {_octal(status)}), and holds "
            f"private keys: `chmod o-w {quote(subject)}`",
        )
    elif reader is not None and status.uid != reader.uid:
        yield failed(
            subject,
            f"belongs to {status.user}, so that the service can't keep its certificates there: "
            f"`chown -R --no-dereference exoproxy: {quote(str(status.real))}`",
        )
    else:
        yield ok(subject, f"belongs to {status.user}")


def _octal(status: Status) -> str:
    return f"{stat.S_IMODE(status.mode):o}"
