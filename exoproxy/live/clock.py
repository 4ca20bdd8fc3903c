"""Is this machine's clock right: by whom it is kept, and by the clocks of those who answered."""

from collections.abc import Iterator
from typing import Final

from exoproxy.live.finding import Finding, failed, note, ok
from exoproxy.live.network import Network

# Seconds ahead of others' clocks, by who they are.
Skews = dict[str, float]

_SKEW: Final = 300.0  # seconds, from which on certificates and authorities' answers seem wrong
_SET_IT: Final = "set it, e.g. by `timedatectl set-ntp true`"


def findings(skews: Skews, network: Network) -> Iterator[Finding]:
    """Yield what is wrong, or that all is well; `skews` are those that were met."""
    wrong = {who: skew for who, skew in skews.items() if abs(skew) > _SKEW}
    for who, skew in wrong.items():
        minutes = round(abs(skew) / 60)
        way = "ahead of" if skew > 0 else "behind"
        yield failed(
            "clock", f"of this machine is {minutes} minutes {way} that of {who}; {_SET_IT}"
        )
    synchronized = network.synchronized()
    if synchronized is False:
        yield note("clock", f"of this machine is not kept right by anything: {_SET_IT}")
    elif not wrong and skews:
        yield ok("clock", f"agrees with that of {', '.join(skews)}")
    elif not wrong and synchronized:
        yield ok("clock", "is kept right by NTP")
    elif not wrong:
        yield note(
            "clock", "has nothing to be compared with; `date -u` should show what a watch shows"
        )
