"""The certificate for the time in which there is none."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exoproxy.certs.context import covers
from exoproxy.certs.temporary import temporary

NOW = datetime(2026, 11, 22, tzinfo=UTC)
NAMES = ["proxy.example.org", "*.proxy.example.org"]


def test_covers_the_names_for_a_short_time() -> None:
    """It is for all names, is valid from before now, and ends within days."""
    _, certificate = temporary(NAMES, NOW)

    assert all(covers(certificate, name) for name in NAMES)
    assert certificate.not_valid_before_utc < NOW
    assert timedelta(days=1) < certificate.not_valid_after_utc - NOW < timedelta(days=3)


def test_vouches_for_itself_alone() -> None:
    """It is signed by its own key, and can't sign others."""
    _, certificate = temporary(NAMES, NOW)

    assert certificate.issuer == certificate.subject
    certificate.verify_directly_issued_by(certificate)
    assert "ca=False" in str(certificate.extensions[0].value)


def test_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a file nor a descriptor is left, and each one is new."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = os.listdir("/proc/self/fd")
    serials = {temporary(NAMES, NOW)[1].serial_number for _ in range(3)}

    assert len(serials) == 3
    assert os.listdir(tmp_path) == []
    assert len(os.listdir("/proc/self/fd")) == len(before)
