"""What the client's files must say, as they say it."""

from typing import Any

from exoproxy.client.script import read_object
from exoproxy.client.snippets import snippets
from exoproxy.settings.model import Settings

MAIN = {"hostname": "my.example.net", "proxy": {"allow": ["keystone.example.com"]}}


def uap(**hostnames: str) -> dict[str, Any]:
    regions = {
        name: {"hostname": hostname, "subnets": ["192.168.0.0/24"]}
        for name, hostname in hostnames.items()
    }
    return {"allowed_origins": ["https://my.example.net"], "regions": regions}


def texts(**content: Any) -> list[str]:
    return [each.text for each in snippets(Settings.model_validate(content))]


def test_one_region_needs_no_name() -> None:
    """The only region takes every instance, whatever the cloud calls its region."""
    assert texts(main=MAIN, uap=uap(X="proxy.example.com")) == [
        """\
// /etc/exoproxy/client/config.js
// If there is none yet, copy /var/lib/exoproxy/client/current/config.js there.
// Below `config`, in the place of the line that is there:
  cloudCorsProxyUrl: "/proxy",
""",
        """\
// /etc/exoproxy/client/cloud_configs.js
// If there is none yet, copy /var/lib/exoproxy/client/current/cloud_configs.js there.
// Below `clouds`, in your cloud's entry:
      userAppProxy: [
        {
          region: null,
          hostname: "proxy.example.com",
        },
      ],
""",
    ]


def test_pasted_snippets_are_what_was_meant() -> None:
    """In the files' objects the text has the values that the JSON has, comments included."""
    content = {
        "main": {**MAIN, "proxy": {"path": "/a-b", "allow": ["a.org"]}},
        "uap": uap(North="n.example.com", South="s.example.com"),
    }
    config, clouds = snippets(Settings.model_validate(content))
    pasted = f"var config = {{\n{config.text}\n}};"
    pasted_too = f"var cloud_configs = {{\n{clouds.text}\n}};"

    assert config.keys == {"cloudCorsProxyUrl": "/a-b"}
    assert read_object(pasted.encode(), "config") == config.keys
    assert clouds.keys == {
        "userAppProxy": [
            {"region": "North", "hostname": "n.example.com"},
            {"region": "South", "hostname": "s.example.com"},
        ]
    }
    assert read_object(pasted_too.encode(), "cloud_configs") == clouds.keys


def test_says_nothing_of_what_is_not_there() -> None:
    """A proxy that is switched off and regions of other files have no lines."""
    assert texts(main={**MAIN, "proxy": None}) == []
    assert [each.partition("\n")[0] for each in texts(main=MAIN)] == [
        "// /etc/exoproxy/client/config.js"
    ]
    assert [each.partition("\n")[0] for each in texts(uap=uap(X="proxy.example.com"))] == [
        "// /etc/exoproxy/client/cloud_configs.js"
    ]
