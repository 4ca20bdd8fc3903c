"""From a file to settings, or to all its mistakes."""

import os
from pathlib import Path

import pytest

from exoproxy.settings.load import ConfigurationErrors, load, state_dir
from exoproxy.settings.model import Settings

GOOD = """\
main:
  hostname: my.example.org
  proxy:
    allow: [keystone.example.org]
"""


def mistakes(path: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigurationErrors) as caught:
        load(path)
    return caught.value.lines


def test_loads_a_file(tmp_path: Path) -> None:
    """A right file becomes settings."""
    path = tmp_path / "exoproxy.yaml"
    path.write_text(GOOD)
    settings = load(path)

    assert settings == Settings.model_validate(
        {"main": {"hostname": "my.example.org", "proxy": {"allow": ["keystone.example.org"]}}}
    )


def test_takes_defaults_for_sections_that_are_commented_out(tmp_path: Path) -> None:
    """`limits:` with nothing but comments below is no mistake."""
    path = tmp_path / "exoproxy.yaml"
    path.write_text(f"{GOOD}limits:\n  #drain: 5\nlog:\n")

    assert load(path).limits.drain == 30


def test_tells_all_mistakes_in_the_order_of_the_file(tmp_path: Path) -> None:
    """Syntax of keys, types and contradictions are told at once, each with its line."""
    path = tmp_path / "x.yaml"
    path.write_text(
        """\
limits:
  buffer_low: 262144
main:
  proxy:
    allow:
      - keystone.example.org
      - "*.example.org"
      - https://glance.example.org:9292/v2
  hostnam: my.example.org
limits:
  drain: 5
log: {format: xml}
"""
    )

    assert mistakes(path) == (
        f"{path}:2: limits.buffer_low: limits.buffer_low (262144) should be less than "
        "limits.buffer_high (262144), e.g. a quarter of it",
        f"{path}:8: main.proxy.allow[2]: 'https://glance.example.org:9292/v2' is a URL; "
        "write glance.example.org:9292",
        f"{path}:9: main.hostnam: is not known; did you mean `hostname`?",
        f"{path}:10: limits: stands here a second time, first in line 1; keep one",
        f"{path}:12: log.format: 'xml' should be 'auto', 'console' or 'json'",
    )


def test_is_an_exception_that_prints_its_lines(tmp_path: Path) -> None:
    """A caller that only prints the exception prints everything."""
    path = tmp_path / "x.yaml"
    path.write_text("a: 1\nb: 2\n")
    with pytest.raises(ConfigurationErrors) as caught:
        load(path)

    assert str(caught.value) == "\n".join(caught.value.lines)
    assert len(caught.value.lines) == 2


def test_tells_a_duplicate_key_even_if_all_else_is_right(tmp_path: Path) -> None:
    """Which of two values is meant can't be known."""
    path = tmp_path / "x.yaml"
    path.write_text(f"{GOOD}state_dir: /a\nstate_dir: /b\n")

    assert mistakes(path) == (
        f"{path}:6: state_dir: stands here a second time, first in line 5; keep one",
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", ":1: the file is empty; `exoproxy config example` prints one"),
        (b"# nothing\n", ":1: the file is empty"),
        (b"- main\n", ":1: the file should hold keys with values"),
        (b"main\n", ":1: the file should hold keys with values"),
        (b"main:\n\thostname: x\n", ":2: there is a tab"),
        (b"main:\n  hostname: \xff\n", ":2: the file is not UTF-8"),
        (GOOD.encode("utf-16"), ":1: the file is not UTF-8"),
        (b"a: 1\n" * 300_000, ": the file is larger than 1 MiB"),
        (b"a: &a [x]\nb: *a\n", ":1: anchors"),
        (b"\x7fELF\x02\x01\x01\x00", ":1: the character"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_refuses_what_is_no_configuration(tmp_path: Path, content: bytes, expected: str) -> None:
    """Whatever is in the file, one sentence says what is wrong with it."""
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    [line] = mistakes(path)

    assert line.startswith(f"{path}{expected}")


def test_refuses_what_is_no_file(tmp_path: Path) -> None:
    """A missing file, a folder, a pipe and an impossible path are told, never waited for."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    assert mistakes(tmp_path / "none")[0].startswith(f"{tmp_path}/none: there is no such file")
    assert mistakes(tmp_path)[0].startswith(f"{tmp_path}: this is no regular file")
    assert mistakes(fifo)[0].startswith(f"{fifo}: this is no regular file")
    assert "can't be read" in mistakes(Path("/a\0b"))[0]
    assert "can't be read" in mistakes(tmp_path / ("a" * 300))[0]


def test_tells_why_a_file_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's user needs the file, and a strict umask keeps it from it."""
    path = tmp_path / "x.yaml"
    path.write_text(GOOD)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)

    assert mistakes(path) == (
        f"{path}: this user may not read the file; it holds no secret, so let everyone: "
        f"`sudo chmod a+r {path}`, and `a+x` for its folders",
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "/var/lib/exoproxy"),
        ("", "/var/lib/exoproxy"),
        ("/run/state", "/run/state"),
        ("/run/one:/run/two", "/run/one"),
    ],
)
def test_systemd_decides_where_state_is_kept(
    monkeypatch: pytest.MonkeyPatch, given: str | None, expected: str
) -> None:
    """$STATE_DIRECTORY wins over the file; of several folders the first is taken."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    if given is not None:
        monkeypatch.setenv("STATE_DIRECTORY", given)

    assert state_dir(Settings()) == Path(expected)


@pytest.mark.parametrize(
    ("text", "given", "expected"),
    [
        ("", "", "/var/lib/exoproxy/client/current"),
        ("state_dir: /srv/state", "", "/srv/state/client/current"),
        ("state_dir: /srv/state", "/run/state", "/run/state/client/current"),
        ("state_dir: /srv/state", None, "/srv/www"),
    ],
)
def test_client_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, given: str | None, expected: str
) -> None:
    """The client lies in the state folder, unless the file says where."""
    monkeypatch.setenv("STATE_DIRECTORY", given or "")
    client = "" if given is not None else "  client: {root: /srv/www}\n"
    path = tmp_path / "exoproxy.yaml"
    path.write_text(f"{text}\nmain:\n  hostname: my.example.org\n  proxy: null\n{client}")
    main = load(path).main

    assert main is not None
    assert main.client.root == Path(expected)
