"""What a reload changes, and what it leaves as it runs."""

from typing import Any

import pytest

from exoproxy.service.reload import waiting, with_what_is_fixed
from exoproxy.settings.model import Settings


def settings(**keys: Any) -> Settings:
    main = {"hostname": "my.example.org", "proxy": None, **keys.pop("main", {})}
    region = {"hostname": "p.example.org", "subnets": ["192.168.0.0/24"], **keys.pop("X", {})}
    uap = {"allowed_origins": [], "regions": {"X": region}}
    return Settings.model_validate({"main": main, "uap": uap, **keys})


@pytest.mark.parametrize("key", ["listen", "redirect_listen", "admin_listen"])
@pytest.mark.parametrize(("part", "region"), [("main", None), ("X", "X")])
def test_sockets_stay(part: str, region: str | None, key: str) -> None:
    """Where is listened can't change; the rest of the part does, and the key is named."""
    value: Any = "127.0.0.1:9999" if key == "admin_listen" else ["127.0.0.1:9999"]
    before = settings()
    read = settings(**{part: {key: value, "certificate": "local"}})
    after = with_what_is_fixed(before, read, region)
    [was, is_] = [
        each.main if region is None else each.uap and each.uap.regions["X"]
        for each in (before, after)
    ]

    assert is_ == (was and was.model_copy(update={"certificate": "local"}))
    assert waiting(before, read, region, "here") == [f"here.{key}"]


def test_other_modes_are_not_looked_at() -> None:
    """What another process listens on is nothing to be told about."""
    read = settings(X={"listen": ["127.0.0.1:9999"]})

    assert waiting(settings(), read, None, "main") == []
    assert with_what_is_fixed(settings(), read, None) == read


def test_state_stays() -> None:
    """The state is in use: another folder waits for a restart."""
    read = settings(state_dir="/srv/other", limits={"drain": 5})
    after = with_what_is_fixed(settings(), read, None)

    assert (after.state_dir, after.limits.drain) == (settings().state_dir, 5)
    assert waiting(settings(), read, None, "main") == ["state_dir"]


@pytest.mark.parametrize("region", [None, "X"])
def test_what_is_served_is_gone(region: str | None) -> None:
    """Nothing could take its place."""
    with pytest.raises(KeyError):
        with_what_is_fixed(settings(), Settings(), region)
