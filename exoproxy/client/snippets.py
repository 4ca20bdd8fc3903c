"""What the client's configuration must say in this deployment, in the form of its own files.

Pure: from the settings to the lines that an operator pastes. Whether the served files say it
already is `client.configuration`'s. Called by `exoproxy client config`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from exoproxy.settings.model import Settings
from exoproxy.settings.sites import Client, Region

CONFIG_FILE: Final = "config.js"
CLOUDS_FILE: Final = "cloud_configs.js"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """Keys for one of the client's files. `text` is JavaScript that begins with a comment."""

    file: str
    keys: Mapping[str, Any]
    text: str


def snippets(settings: Settings) -> list[Snippet]:
    """Return what belongs into each file; nothing for what is not configured or switched off."""
    main, uap = settings.main, settings.uap
    found = []
    if main and main.proxy:
        path = main.proxy.path
        place = _place(CONFIG_FILE, main.client)
        line = f"  cloudCorsProxyUrl: {json.dumps(path)},\n"
        text = f"{place}\n// Below `config`, in the place of the line that is there:\n{line}"
        found.append(Snippet(file=CONFIG_FILE, keys={"cloudCorsProxyUrl": path}, text=text))
    if uap:
        entries = _user_app_proxy(uap.regions)
        place = _place(CLOUDS_FILE, main.client if main else Client())
        text = f"{place}\n// Below `clouds`, in your cloud's entry:\n{_list_of(entries)}"
        found.append(Snippet(file=CLOUDS_FILE, keys={"userAppProxy": entries}, text=text))
    return found


def _place(name: str, client: Client) -> str:
    """Return the comment that says where a snippet belongs."""
    # Settings hold no path with a control character: it would end the comment.
    path, original = client.overrides / name, client.root / name
    return f"// {path}\n// If there is none yet, copy {original} there."


def _user_app_proxy(regions: Mapping[str, Region]) -> list[dict[str, str | None]]:
    """Return the entries; the client takes the one without a region where no other fits."""
    if len(regions) == 1:
        [only] = regions.values()
        return [{"region": None, "hostname": only.hostname}]
    return [{"region": name, "hostname": each.hostname} for name, each in regions.items()]


def _list_of(entries: list[dict[str, str | None]]) -> str:
    """Return the key with its value, indented as in the client's file."""
    lines = ["      userAppProxy: ["]
    for entry in entries:
        members = [f"          {key}: {json.dumps(value)}," for key, value in entry.items()]
        lines += ["        {", *members, "        },"]
    return "\n".join([*lines, "      ],", ""])
