"""A systemd that is the first process of namespaces of its own, with exoproxy as if installed.

    with booted(folder) as host:
        host.write("/etc/exoproxy/exoproxy.yaml", …)
        host.run("systemctl", "start", "exoproxy-main")

Its network has a loopback interface and nothing else. Its files are this machine's with changes
that are kept in memory; its processes can't see others, and all end with it. The units of systemd/
run unchanged: /opt/exoproxy holds the code under test and this environment's libraries.
"""

import ctypes
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import exoproxy

SYSTEMD = Path("/usr/lib/systemd/systemd")
UNITS = Path(__file__).parents[1] / "systemd"
SOURCE = Path(exoproxy.__file__).parent

BOOT_SECONDS = 30
COMMAND_SECONDS = 60

_NEW_NAMESPACES = ("--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup")
_CLONE_NEWNET = 0x40000000  # setns(2)

# Runs as the first process of the new namespaces and becomes systemd. $1 is an empty folder, $2 the
# package exoproxy; $3 is the interpreter's folder, $4 that of this environment's libraries and $5
# the shared one; $6 is systemd.
_INIT = r"""
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$1"
new=$1/root
mkdir "$new" "$1/changes" "$1/work"
mount -t overlay -o "lowerdir=/,upperdir=$1/changes,workdir=$1/work" overlay "$new"
mount -t proc proc "$new/proc"
# No setting of this machine's kernel is changed from in there.
mount --bind "$new/proc/sys" "$new/proc/sys"
mount -o remount,bind,ro "$new/proc/sys"
mount -t sysfs -o ro sysfs "$new/sys"
mount -t cgroup2 cgroup2 "$new/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$new/run"
mount -t tmpfs -o mode=1777 tmpfs "$new/tmp"
mount -t tmpfs -o mode=755 tmpfs "$new/dev"
for device in null zero full random urandom tty; do
    touch "$new/dev/$device"
    mount --bind "/dev/$device" "$new/dev/$device"
done
mkdir "$new/dev/shm" "$new/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$new/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$new/dev/pts"
ln -s pts/ptmx "$new/dev/ptmx"

# Of this machine's services none starts but the journal.
rm -rf "$new"/etc/systemd/system/*.wants "$new"/etc/systemd/system/*.requires
for unit in "$new"/lib/systemd/system/sysinit.target.wants/*; do
    case $unit in */systemd-journald.service) ;; *)
        ln -sf /dev/null "$new/etc/systemd/system/${unit##*/}" ;;
    esac
done

rm -rf "$new/opt/exoproxy" "$new/opt/python" "$new/opt/source" "$new/etc/exoproxy"
mkdir -p "$new/opt/exoproxy/lib" "$new/opt/python" "$new/opt/source/exoproxy" "$new/etc/exoproxy"
mount --bind "$2" "$new/opt/source/exoproxy"
mount --bind "$3" "$new/opt/python"
mount --bind "$4" "$new/opt/exoproxy/lib"
mkdir "$new/srv/shared"
mount --bind "$5" "$new/srv/shared"

mkdir "$new/run/before"
cd "$new"
pivot_root . run/before
umount -l /run/before
# As a first process leaves it: credentials are mounted by a helper and propagate to services.
mount --make-rshared /
exec env -i container=test PATH="$PATH" "$6" --system --unit=basic.target --log-target=journal
"""

# The interpreter may be in somebody's home, where no service looks.
_IN_OPT = """[Service]
Environment=PYTHONPATH=/opt/source LD_LIBRARY_PATH=/opt/python/lib PYTHONDONTWRITEBYTECODE=1
"""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Booted:
    """The systemd at work; `pid` is its process here. Paths below are as they are in there.

    `shared` is a folder of this machine's that is /srv/shared in there.
    """

    pid: int
    shared: Path

    def outside(self, path: str) -> Path:
        """Return where a file of its is for this process."""
        return Path(f"/proc/{self.pid}/root{path}")

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of root's."""
        file = self.outside(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode)
        file.chmod(mode)
        file.write_text(text, "utf-8")

    def drop_in(self, unit: str, text: str) -> None:
        """Change a unit, as `systemctl edit` does."""
        self.write(f"/etc/systemd/system/{unit}.d/test.conf", text)
        self.run("systemctl", "daemon-reload")

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command, as root in there; what it says comes by its stdout."""
        return subprocess.Popen(  # noqa: S603 - the test's own command
            ["nsenter", "--target", str(self.pid), "--all", "--wd", "--", *command],  # noqa: S607
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def attempt(self, *command: str) -> tuple[int, str]:
        """Run a command to its end; returns its exit code and what it said."""
        with self.start(*command) as process:
            try:
                said, _ = process.communicate(timeout=COMMAND_SECONDS)
            finally:
                process.kill()
        return process.returncode, said

    def run(self, *command: str) -> str:
        """Run a command that has to succeed; returns its output."""
        code, said = self.attempt(*command)

        assert code == 0, f"{command}: {said}\n{self.journal()}"
        return said

    def journal(self, *selection: str) -> str:
        """Return what was logged in there."""
        return self.attempt("journalctl", "--no-pager", "--output=cat", *selection)[1]

    def property(self, unit: str, name: str) -> str:
        """Return what `systemctl show` says of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def in_its_network(self, act: Callable[[], T]) -> T:
        """Return what the function returns when all that it starts is in that network.

        A network namespace is a thread's: threads and processes begin in their maker's.
        """

        def enter() -> None:
            libc = ctypes.CDLL(None, use_errno=True)
            with Path(f"/proc/{self.pid}/ns/net").open("rb") as namespace:
                if libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")

        with ThreadPoolExecutor(1, initializer=enter) as thread:
            return thread.submit(act).result()


def boot_denied() -> str | None:
    """Say why no systemd can be started here; None if one can."""
    if not SYSTEMD.exists():
        return "needs systemd; as root: apt-get install systemd"
    if os.geteuid() != 0:
        return "needs root, for a systemd in namespaces of its own"
    if _cgroup2() is None:
        return "needs a cgroup2 file system, for a systemd in namespaces of its own"
    unshare = shutil.which("unshare")
    assert unshare is not None, "util-linux is essential"
    made = subprocess.run(  # noqa: S603 - Debian's
        [unshare, *_NEW_NAMESPACES, "--fork", "mount", "--make-rprivate", "/"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    return None if made.returncode == 0 else "needs the right to make namespaces"


@contextmanager
def booted(folder: Path) -> Iterator[Booted]:
    """Start it in an empty folder, with the units installed and not started; it goes at the end."""
    group = _cgroup2()
    assert group is not None, "mark the test with needs('booted systemd')"
    group /= f"exoproxy-test-{os.getpid()}"
    group.mkdir()
    interpreter = Path(sys.executable).resolve()
    root, shared = folder / "systemd", folder / "shared"
    root.mkdir()
    shared.mkdir()
    command = [
        *("sh", "-c", 'echo $$ >"$0"; exec "$@"', str(group / "cgroup.procs")),
        *("unshare", *_NEW_NAMESPACES, "--fork", "--kill-child"),
        *("sh", "-c", _INIT, "sh", str(root), str(SOURCE), sys.base_prefix),
        *(str(Path(sys.prefix) / "lib"), str(shared), str(SYSTEMD)),
    ]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - as above
    try:
        host = Booted(pid=_first_child(process), shared=shared)
        _until_it_listens(host, process)
        _install(host, Path("/opt/python") / interpreter.relative_to(sys.base_prefix))
        yield host
    finally:
        process.kill()
        process.wait()
        _remove(group)


def _install(host: Booted, interpreter: Path) -> None:
    binaries = host.outside("/opt/exoproxy/bin")
    binaries.mkdir()
    (binaries / "python").symlink_to(interpreter)
    host.write("/opt/exoproxy/pyvenv.cfg", f"home = {interpreter.parent}\n")
    host.write(
        "/opt/exoproxy/bin/exoproxy",
        "#!/opt/exoproxy/bin/python\nimport sys\nfrom exoproxy.cli import main\nsys.exit(main())\n",
        0o755,
    )
    for unit in UNITS.iterdir():
        host.write(f"/etc/systemd/system/{unit.name}", unit.read_text("utf-8"))
    for service in ("exoproxy-main.service", "exoproxy-uap@.service"):
        host.write(f"/etc/systemd/system/{service}.d/opt.conf", _IN_OPT)
    host.run("systemctl", "daemon-reload")


def _cgroup2() -> Path | None:
    """Return where the second version of control groups is mounted (proc_pid_mountinfo(5))."""
    for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith("cgroup2 "):
            return Path(before.split()[4])
    return None


def _first_child(process: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if numbers := children.read_text("ascii").split():
            return int(numbers[0])
        time.sleep(0.02)
    raise AssertionError("the namespaces for systemd could not be made")


def _until_it_listens(host: Booted, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        # Until then it is the shell, whose files are this machine's.
        is_systemd = Path(f"/proc/{host.pid}/comm").read_text("ascii").strip() == "systemd"
        if is_systemd and host.attempt("systemctl", "is-active", "basic.target")[0] == 0:
            return
        time.sleep(0.1)
    raise AssertionError("systemd did not start in its namespaces")


def _remove(group: Path) -> None:
    """Remove a control group whose processes have been killed, and those below it."""
    deadline = time.monotonic() + BOOT_SECONDS
    while (group / "cgroup.procs").read_text("ascii") or any(
        below.read_text("ascii") for below in group.rglob("cgroup.procs")
    ):
        assert time.monotonic() < deadline, f"{group} still has processes"
        time.sleep(0.05)
    for folder, _, _ in os.walk(group, topdown=False):
        Path(folder).rmdir()
