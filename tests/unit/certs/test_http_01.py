"""The challenge http-01: what is answered, to whom not, and that nothing stays behind."""

import os
import stat
import time
from pathlib import Path

import pytest

from exoproxy.certs.folder import Folder
from exoproxy.certs.http_01 import answer, publish, remove
from exoproxy.certs.problem import IssuanceProblem

TOKEN = "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0"
PROOF = f"{TOKEN}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
DAY = 24 * 3600


@pytest.fixture(name="folder")
def challenges(tmp_path: Path) -> Path:
    return tmp_path / "exoproxy" / "http-01"


def put(folder: Path, name: str, content: bytes = PROOF.encode(), *, age: float = 0) -> Path:
    """Put a file there as somebody else would."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(content)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def test_publishes_answers_and_removes(folder: Path) -> None:
    """The key authorization is answered byte for byte, until it is removed."""
    assert answer(folder, TOKEN) is None
    assert not folder.exists()
    publish(folder, TOKEN, PROOF)
    assert answer(folder, TOKEN) == PROOF.encode()
    remove(folder, TOKEN)
    assert answer(folder, TOKEN) is None
    assert os.listdir(folder) == []


def test_only_the_owner_may_look(folder: Path) -> None:
    """Folder and file are private from the beginning."""
    publish(folder, TOKEN, PROOF)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / TOKEN).stat().st_mode) == 0o600


@pytest.mark.parametrize("link", ["exoproxy", "exoproxy/http-01"])
def test_a_folder_that_is_a_link_is_not_entered(folder: Path, tmp_path: Path, link: str) -> None:
    """Who may write the store leads neither root nor the listener elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(elsewhere)
    elsewhere.mkdir()
    put(folder, TOKEN)

    assert answer(folder, TOKEN) is None
    with pytest.raises(IssuanceProblem, match="stands a link"):
        publish(folder, TOKEN, PROOF)
    remove(folder, TOKEN)
    assert (folder / TOKEN).read_bytes() == PROOF.encode()


def test_challenges_stand_side_by_side(folder: Path) -> None:
    """A second order's token does not disturb the first's, and publishing again replaces."""
    other = "b" * 43
    publish(folder, TOKEN, PROOF)
    publish(folder, other, f"{other}.{'c' * 43}")
    publish(folder, TOKEN, f"{TOKEN}.{'d' * 43}")
    remove(folder, other)

    assert answer(folder, TOKEN) == f"{TOKEN}.{'d' * 43}".encode()


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "../account.json",
        f"../http-01/{TOKEN}",
        f"/{TOKEN}",
        f"{TOKEN}/",
        f"{TOKEN}\n",
        f"{TOKEN}\0",
        f"{TOKEN}=",
        f"{TOKEN}.",
        "%2e%2e%2f",
        "tok\u00e9n",
        "\ud800",
        "\uff21" * 43,
        "a" * 129,
        "a" * 100_000,
    ],
)
def test_a_token_is_a_name_and_nothing_else(folder: Path, token: str) -> None:
    """What is not base64url is neither read, nor written, nor removed."""
    put(folder.parent, "account.json")
    publish(folder, TOKEN, PROOF)

    assert answer(folder, token) is None
    with pytest.raises(IssuanceProblem, match="not base64url"):
        publish(folder, token, f"{token}.{'d' * 43}")
    remove(folder, token)
    assert answer(folder, TOKEN) == PROOF.encode()
    assert sorted(os.listdir(folder.parent)) == ["account.json", "http-01"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        TOKEN.encode(),
        PROOF.encode() + b"\n",
        PROOF.encode()[:-1],
        PROOF.encode() + b"A" * 100_000,
        b"x" + PROOF.encode(),
        b"-----BEGIN PRIVATE KEY-----\n",
        b"<script>" + PROOF.encode(),
    ],
    ids=lambda content: repr(content[:12] + content[-4:]),
)
def test_only_a_key_authorization_goes_out(folder: Path, content: bytes) -> None:
    """A file with anything else under a token's name is not shown to the network."""
    put(folder, TOKEN, content)

    assert answer(folder, TOKEN) is None


def test_a_file_is_read_up_to_the_longest_answer_and_no_more(folder: Path) -> None:
    """The longest token is answered; one byte behind its proof makes the file none."""
    token = "t" * 128
    publish(folder, token, f"{token}.{'d' * 43}")
    assert answer(folder, token) == f"{token}.{'d' * 43}".encode()
    put(folder, token, f"{token}.{'d' * 44}".encode())

    assert answer(folder, token) is None


def test_only_regular_files_are_read(folder: Path) -> None:
    """Neither a link, nor a folder, nor a FIFO, which would wait for its writer."""
    target = put(folder.parent, "elsewhere")
    folder.mkdir()
    (folder / TOKEN).symlink_to(target)
    assert answer(folder, TOKEN) is None
    (folder / TOKEN).unlink()
    (folder / TOKEN).mkdir()
    assert answer(folder, TOKEN) is None
    (folder / TOKEN).rmdir()
    os.mkfifo(folder / TOKEN)

    assert answer(folder, TOKEN) is None


def test_a_folder_that_may_not_be_read_has_no_answers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listener says 404 and goes on."""
    publish(folder, TOKEN, PROOF)

    def denied(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)

    assert answer(folder, TOKEN) is None


def test_leftovers_are_swept(folder: Path) -> None:
    """Files of killed processes go after a day, younger ones and what is no file stay."""
    for name in ("old", ".old.0123"):
        put(folder, name, age=DAY + 60)
    put(folder, "young", age=DAY - 60)
    (folder / "folder").mkdir()
    os.utime(folder / "folder", (0, 0))
    publish(folder, TOKEN, PROOF)

    assert sorted(os.listdir(folder)) == sorted([TOKEN, "folder", "young"])


def test_what_can_not_be_swept_is_in_nobodys_way(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes may sweep at the same time."""
    put(folder, "old", age=2 * DAY)

    def gone(_: object, __: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(Folder, "remove", gone)
    publish(folder, TOKEN, PROOF)

    assert answer(folder, TOKEN) == PROOF.encode()


def test_a_full_disk_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence with the folder; nothing half-written is left or answered."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(IssuanceProblem, match=rf"no room left to write in {folder}"):
        publish(folder, TOKEN, PROOF)

    assert os.listdir(folder) == []


def test_removing_never_raises(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Clean-up goes on with the rest; a file that stays is told."""
    remove(folder, TOKEN)
    folder.mkdir(parents=True)
    remove(folder, TOKEN)
    assert caplog.records == []

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "unlink", denied)
    remove(folder, TOKEN)

    assert "can't be removed (Permission denied)" in caplog.text
