"""Where a client is fetched and built: a folder outside the state, for one installation.

Outside, because root's builds run as the state's owner, who can't reach the state by its path where
systemd keeps it (`DynamicUser=` puts it below /var/lib/private); and because what root writes while
it fetches should not lie in a folder that another user may change.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final

from exoproxy.releases.process import Account

# On a disk, unlike /tmp on many hosts: the packages of a build take hundreds of megabytes.
_PLACE: Final = "/var/tmp"  # noqa: S108 - mkdtemp makes what is used in it


@contextmanager
def workshop(client: Path) -> Iterator[Path]:
    """Yield an empty folder, for this process's user alone, that is gone at the end.

    Removes what killed installations into the same folder `client` have left; the caller knows
    that no other one is at work. `$TMPDIR` names another place than /var/tmp.
    """
    place = os.environ.get("TMPDIR") or _PLACE
    prefix = f"exoproxy-{sha256(os.fsencode(client.resolve())).hexdigest()[:16]}-"
    for name in os.listdir(place):
        if name.startswith(prefix):
            # It follows no links, so that it does no harm if somebody else has made that folder.
            shutil.rmtree(os.path.join(place, name), ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def hand_over(folder: Path, account: Account) -> None:
    """Give a folder and all that is in it to another user; the folder itself last."""
    for _, folders, files, descriptor in os.fwalk(folder):
        for name in (*folders, *files):
            os.chown(name, account.user, account.group, dir_fd=descriptor, follow_symlinks=False)
    os.chown(folder, account.user, account.group)
