"""Whether the client's own configuration, as it is served, fits this deployment's.

The client starts from `config.js` and `cloud_configs.js`; what both set, `config.js` decides. They
name the Cloud CORS Proxy and the User Application Proxies, and nothing fails at once where they
name others: users find out. How the scripts are read is `client.script`'s; what they should say,
`client.snippets`'. Called by `exoproxy check`.
"""

import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from exoproxy.client.script import MOST_BYTES, Unreadable, read_object
from exoproxy.client.snippets import CLOUDS_FILE, CONFIG_FILE
from exoproxy.settings.location import dotted
from exoproxy.settings.sites import Client, Main, Proxy, Region

_KEY: Final = "main.client"
_SEE: Final = "`exoproxy client config` prints what to write"
# Of a value in a sentence, that many characters.
_SHOWN: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class _Script:
    """A configuration script that is served: where it lies, and the object it assigns."""

    path: Path
    content: Mapping[str, Any]


def warnings(main: Main, regions: Mapping[str, Region]) -> Iterator[str]:
    """Yield `KEY: sentence` for all in the served scripts that does not fit this configuration.

    A script that can't be read is said not to have been checked. Without `regions`, the User
    Application Proxies are configured elsewhere and are nothing to judge by.
    """
    config = _read(main.client, CONFIG_FILE, "config")
    if isinstance(config, str):
        yield config
        # It may hold the clouds.
        return
    if main.proxy is not None:
        yield from _of_proxy(config, main.hostname, main.proxy)
    if not regions:
        return
    script: _Script | str = config
    if "clouds" not in config.content:
        script = _read(main.client, CLOUDS_FILE, "cloud_configs")
    if isinstance(script, str):
        yield script
    else:
        yield from _of_clouds(script, main.proxy, regions)


def _read(client: Client, name: str, variable: str) -> _Script | str:
    """Return the script that is served under a name, or the warning in its place."""
    for folder in (client.overrides, client.root):
        path = folder / name
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):
                continue
            if not _is_inside(path, client):
                return (
                    f"{_KEY}: {path} is a link out of the document root, so it is not served; "
                    "put a copy there"
                )
            with path.open("rb") as file:
                content = file.read(MOST_BYTES + 1)
            return _Script(path=path, content=read_object(content, variable))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            return _unread(path, str(error.strerror))
        except Unreadable as reason:
            return _unread(path, str(reason))
    return (
        f"{_KEY}: there is no {name} in {client.overrides} or {client.root}, so the client can't "
        "start; copy the one that its source has"
    )


def _unread(path: Path, reason: str) -> str:
    return f"{_KEY}: {path} can't be read ({reason}), so it was not checked"


def _is_inside(path: Path, client: Client) -> bool:
    resolved = path.resolve()
    return any(
        resolved.is_relative_to(folder.resolve()) for folder in (client.root, client.overrides)
    )


def _of_proxy(config: _Script, hostname: str, proxy: Proxy) -> Iterator[str]:
    url = config.content.get("cloudCorsProxyUrl")
    line = f"cloudCorsProxyUrl: {json.dumps(proxy.path)}"
    if url is None:
        yield (
            f"{_KEY}: {config.path} sets no cloudCorsProxyUrl, so that browsers call the cloud's "
            f"API themselves, which most clouds refuse; write `{line}`"
        )
    elif not _leads_to(url, hostname, proxy.path):
        yield (
            f"{_KEY}: {config.path} sets cloudCorsProxyUrl to {_shown(url)}, which is not this "
            f"host's {proxy.path}; write `{line}`"
        )


def _leads_to(url: object, hostname: str, path: str) -> bool:
    """Tell whether a page of the main host that calls below `url` reaches its proxy.

    Any port may do: the one that is listened on need not be the one that users see.
    """
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(urljoin(f"https://{hostname}/", url))
    except ValueError:
        return False
    return (
        parts.scheme == "https"
        and parts.hostname == hostname
        and parts.path.rstrip("/").lower() == path.lower()
        and not parts.query
        and not parts.fragment
    )


def _of_clouds(
    script: _Script, proxy: Proxy | None, regions: Mapping[str, Region]
) -> Iterator[str]:
    ours = [region.hostname for region in regions.values()]
    clouds = [each for each in _list(script.content.get("clouds")) if isinstance(each, dict)]
    named = {hostname.lower() for cloud in clouds for hostname in _hostnames(cloud)}
    for name, region in regions.items():
        if region.hostname not in named:
            key = dotted(("uap", "regions", name, "hostname"))
            yield (
                f"{key}: {region.hostname} is the userAppProxy of no cloud "
                f"in {script.path}, so the client offers no shells and desktops there; {_SEE}"
            )
    # Builds come with the clouds of others, whose proxies are no concern of this file.
    for cloud in clouds:
        hostnames = _hostnames(cloud)
        if _is_allowed(cloud.get("keystoneHostname"), proxy) or any(
            each.lower() in ours for each in hostnames
        ):
            yield from _of_strangers(script, hostnames, ours)


def _of_strangers(script: _Script, hostnames: list[str], ours: list[str]) -> Iterator[str]:
    for hostname in dict.fromkeys(hostnames):
        if hostname.lower() not in ours:
            close = get_close_matches(hostname.lower()[:_SHOWN], ours, n=1)
            meant = f"; did you mean {close[0]}?" if close else ""
            yield (
                f"{_KEY}: {script.path} has the userAppProxy {_shown(hostname)} in a cloud of "
                f"yours, and no region below uap.regions has that hostname{meant}"
            )


def _hostnames(cloud: Mapping[str, Any]) -> list[str]:
    """Return the hosts of a cloud's User Application Proxies, as they are written."""
    entries = [each for each in _list(cloud.get("userAppProxy")) if isinstance(each, dict)]
    found = [each.get("hostname") for each in entries]
    return [each for each in found if isinstance(each, str)]


def _is_allowed(keystone: object, proxy: Proxy | None) -> bool:
    """Tell whether a cloud is this deployment's own: `main.proxy.allow` names its Keystone."""
    if proxy is None or not isinstance(keystone, str):
        return False
    host = keystone.lower()
    return any(
        host.endswith(f".{pattern.host}") if pattern.subdomains else host == pattern.host
        for pattern in proxy.allow
    )


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
