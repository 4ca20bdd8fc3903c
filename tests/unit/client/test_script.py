"""The objects of the client's configuration scripts, and what scripts can't be read."""

import time

import pytest

from exoproxy.client.script import MOST_BYTES, Unreadable, read_object

PLAIN = b"""\xef\xbb\xbf"use strict";

// var config = { cloudCorsProxyUrl: "no" };
/** @type {Exosphere.Configuration} */
var config = {
  showDebugMsgs: false, // { it's no brace
  "cloudCorsProxyUrl": '/proxy', /* } */
  aboutAppMarkdown: "a \\"quoted\\" } brace \\
and a second line",
  palette: { light: { primary: { r: 155, g: 0x21, b: .5 } } },
  "config": null,
  list: [1, 2,],
};

var _paq = (window._paq = window._paq || []);
(function () { _paq.push(["config", `}`]); })();
"""


def test_reads_what_the_client_s_files_hold() -> None:
    """Comments, bare keys, both quotes, trailing commas and statements around are no hindrance."""
    assert read_object(PLAIN, "config") == {
        "showDebugMsgs": False,
        "cloudCorsProxyUrl": "/proxy",
        "aboutAppMarkdown": 'a "quoted" } brace and a second line',
        "palette": {"light": {"primary": {"r": 155, "g": 33, "b": 0.5}}},
        "config": None,
        "list": [1, 2],
    }


@pytest.mark.parametrize(
    "script",
    [
        b"window.config={a:1}",
        b"const config = /** @type {X} */ {a:1}",
        b"let config\n=\n{a:1}\nlet other = 2",
        b"var config = {a:1};\r\n// config.a = 2;\r\n",
        b"var config = {a:1} // the end",
        b"var config = {a:2, a:1};",
    ],
    ids=repr,
)
def test_reads_other_ways_to_write_it(script: bytes) -> None:
    """It does not matter how the variable is declared and how the statement ends."""
    assert read_object(script, "config") == {"a": 1}


def test_reads_the_variable_asked_for() -> None:
    """`cloud_configs` is no `config`."""
    assert read_object(b"var cloud_configs = {clouds: []};", "cloud_configs") == {"clouds": []}
    with pytest.raises(Unreadable, match="has no `config = "):
        read_object(b"var cloud_configs = {clouds: []};", "config")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (b"", "it has no `config = {…}`"),
        (b"// var config = {a:1}", "it has no `config = {…}`"),
        (b"'var config = {a:1}'", "it has no `config = {…}`"),
        (b"/* var config = {a:1}", "it has no `config = {…}`"),
        (b"var config = read();", "it has no `config = {…}`"),
        (b"var config = 'x' {a:1};", "it has no `config = {…}`"),
        (b"var config = {a:1};\nconfig.a = 2;", "it works on its object elsewhere as well"),
        (b"var config = {a:1};\ncloud_configs.x = 2;", "it works on its object elsewhere as well"),
        (b"var config = {a:1}; var config = {a:2};", "it works on its object elsewhere as well"),
        (b"var config = {a:1} || {a:2};", "its object is part of an expression"),
        (b"var config = {a:{b:1}}.a;", "its object is part of an expression"),
        (b"var config = {a:1};\xff", "it is not UTF-8"),
        (b"var config = {a:1", "its object has no end"),
        (b"var config = {a:'}", "its object has no end"),
        (b"var config = {\n  a: 1\n  b: 2,\n};", "line 3 has a mistake"),
        (b"var config = {\n\n  a: location.host,\n};", "line 3 has a mistake"),
        (b"var config = {\n  ...others,\n};", "line 2 has a mistake"),
        (b"var config = {a: 'x' + 'y'};", "line 1 has a mistake"),
        (b"var config = {a: `x`};", "line 1 has a mistake"),
        (b"var config = {a: /{}/};", "line 1 has a mistake"),
        (b"var config = {\n\n a: " + b"9" * 5000 + b"};", "line 3 has a mistake"),
        (b"var config = {a: 1}" + b" " * MOST_BYTES, "it is larger than 262,144 bytes"),
    ],
    ids=lambda value: value[:40] if isinstance(value, bytes) else None,
)
def test_does_not_guess(script: bytes, reason: str) -> None:
    """What only running the script would tell is said to be unreadable, and why."""
    with pytest.raises(Unreadable) as told:
        read_object(script, "config")

    assert str(told.value).startswith(reason)


FULL = MOST_BYTES - 100


@pytest.mark.parametrize(
    "filling",
    [
        b"{a:" * (FULL // 3),
        b"[" * FULL,
        b"[]," * (FULL // 3),
        b"/*" * (FULL // 2),
        b"//*/" * (FULL // 4),
        b"'\n" * (FULL // 2),
        b"\\" * FULL,
        b'"\\' * (FULL // 2),
        b"`" + b"\\`" * (FULL // 2),
        b"config " * (FULL // 7),
        b"config =" * (FULL // 8),
        b"config = {" * (FULL // 10),
        b" " * FULL,
        b"}{" * (FULL // 2),
        b"9" * FULL,
    ],
    ids=lambda filling: repr(filling[:10]),
)
@pytest.mark.parametrize("before", [b"", b"var config = {", b"var config = {a:"])
def test_hostile_script_is_harmless(before: bytes, filling: bytes) -> None:
    """Whatever a script of full size holds, it is read or refused in a moment."""
    started = time.process_time()
    with pytest.raises(Unreadable):
        read_object(before + filling, "config")

    assert time.process_time() - started < 3


def test_hostile_depth_that_closes_is_harmless() -> None:
    """Nesting beyond what any client has is refused, not followed."""
    with pytest.raises(Unreadable, match="more than 32 levels deep"):
        read_object(b"config = {a:" + b"[" * 100_000 + b"]" * 100_000 + b"}", "config")
