"""What an operator should do something about, each as a sentence that says what.

Pure functions of what others have read; `status` shows them, and `/readyz` tells them.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from exoproxy.admin.certificate import Standing
from exoproxy.admin.running import ConfigurationState, Running
from exoproxy.errors import Internal, NotInstalled, Overloaded

# Minutes that an error of our own is a problem for.
RECENT: Final = 10
# An authority issues within a minute or two; DNS takes its time.
_PATIENCE: Final = timedelta(minutes=15)
# Renewals begin at a third of the life, or at half of a short one; by then each has failed often.
_LATE: Final = timedelta(days=14)
_LATE_SHARE: Final = 5
_NEAR: Final = 0.9


def problems(
    running: Running, standing: Standing, errors: Mapping[str, int], now: datetime
) -> list[str]:
    """Return what is wrong; `errors` are those of the last `RECENT` minutes, by code."""
    return [
        *_of_certificate(standing, running.started, now),
        *_of_configuration(running.configuration),
        *_of_connections(running.caps.open, running.caps.total),
        *_of_errors(errors),
    ]


def _of_certificate(standing: Standing, started: datetime, now: datetime) -> Iterator[str]:
    served, left = standing.served, standing.left(now)
    if served.temporary:
        if now - started > _PATIENCE:
            yield (
                "The certificate is a temporary self-signed one, so browsers warn: run `exoproxy "
                "cert status` to see why there is no other yet."
            )
        return
    if not standing.served_is_stored:
        yield (
            "The certificate that is served is not the one that is stored: reload the service "
            "(`systemctl reload`); if it stays like this, the log says why."
        )
    if left <= timedelta():
        yield (
            f"The certificate expired on {served.not_after:%Y-%m-%d %H:%M} UTC, and browsers "
            f"refuse it: {_renewal(standing)}"
        )
        return
    life = served.not_after - served.certificate.not_valid_before_utc
    if left < min(_LATE, life / _LATE_SHARE):
        yield (
            f"The certificate expires on {served.not_after:%Y-%m-%d %H:%M} UTC and should have "
            f"been renewed: {_renewal(standing)}"
        )


def _renewal(standing: Standing) -> str:
    if standing.source == "acme":
        return "run `exoproxy cert renew` to see what keeps it from that."
    if standing.source == "files":
        return "put a new one into its files and reload the service."
    return "restart the service, which makes a new one; its log says why it has not."


def _of_configuration(configuration: ConfigurationState) -> Iterator[str]:
    if configuration.problem is not None:
        yield (
            "The last reload failed, and what was configured before stays in use: run `exoproxy "
            "check` to see every mistake, correct it and reload again."
        )


def _of_connections(count: int, limit: int) -> Iterator[str]:
    if count >= _NEAR * limit:
        yield (
            f"{count} of {limit} connections are taken, and beyond that clients are turned away: "
            "raise limits.connections and the process's limit of open files, or find out who "
            "holds them (`ss -tn state established`)."
        )


def _of_errors(errors: Mapping[str, int]) -> Iterator[str]:
    if count := errors.get(Internal.code, 0):
        yield (
            f"{_requests(count)} failed by a defect of the proxy in the last {RECENT} minutes: its "
            "log has a traceback for each; please report it."
        )
    if count := errors.get(Overloaded.code, 0):
        yield (
            f"{_requests(count)} met a cap on connections in the last {RECENT} minutes: see the "
            "refusals for whose; limits.connections_per_client and "
            "limits.connections_per_upstream can be raised."
        )
    if errors.get(NotInstalled.code, 0):
        yield (
            "The Exosphere client was asked for and is not installed: run `exoproxy client "
            "install SOURCE`."
        )


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count} requests"
