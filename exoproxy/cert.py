"""The commands `exoproxy cert issue`, `renew` and `import`, which change the store.

The first two are the issuance process. It is short-lived, because the ACME client blocks and a DNS
provider's SDK is heavy, and because the DNS token has no place in a process that faces the
internet. A person starts it, or the keeper of a serving process does. Called by `cli`.
"""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from exoproxy.certs.attempt import Attempt, Outcome, When
from exoproxy.certs.certbot import takeover
from exoproxy.certs.problem import IssuanceProblem
from exoproxy.certs.wanted import Wanted, store_of, wanted
from exoproxy.ops.log import configure
from exoproxy.ops.stopping import Stopped, stoppable
from exoproxy.rules.printable import printable
from exoproxy.settings.model import Settings

logger: Final = logging.getLogger("exoproxy")

# Of 19: whoever is served comes first, while a certificate may take its time.
_NICENESS: Final = 10
# Seconds for another process to let go of the store.
_PATIENCE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Voice:
    """How steps and failures are told; both take the certificate's name and a sentence."""

    say: Callable[[str, str], None]
    complain: Callable[[str, str], None]


def issue(settings: Settings, asked: Sequence[Wanted], *, staging: bool, force: bool) -> int:
    """Get what is missing, and with `force` what isn't; with `staging` see whether it would work.

    Returns the exit code.
    """
    configure("console")

    def run(attempt: Attempt) -> Outcome:
        return attempt.rehearse() if staging else attempt.run(When.NOW if force else When.MISSING)

    return _run(settings, asked, run, _TO_A_PERSON)


def renew(settings: Settings, asked: Sequence[Wanted], *, if_due: bool) -> int:
    """Get new ones; with `if_due` only where the renewal rule says so, for the keeper.

    Returns the exit code.
    """
    configure(settings.log.format if if_due else "console")

    def run(attempt: Attempt) -> Outcome:
        return attempt.run(When.DUE if if_due else When.NOW)

    return _run(settings, asked, run, _TO_THE_LOG if if_due else _TO_A_PERSON)


def take_over(settings: Settings, asked: Sequence[Wanted] | None, tree: Path) -> int:
    """Take over from a tree of certbot's: what is asked, or all that is wanted and can be had.

    Returns the exit code.
    """
    configure("console")
    store = store_of(settings)
    problems = []
    there = asked or wanted(settings)
    for each in there:
        try:
            with store.lock(timeout=_PATIENCE, waiting=partial(_print, each.name)):
                found = takeover.take_over(store, each.name, each.names, each.directory, tree=tree)
        except IssuanceProblem as problem:
            problems.append((each.name, str(problem)))
            continue
        _print(each.name, _taken(found))
        for sentence in found.advice:
            _print(each.name, sentence)
    # The file is for all hosts: what it names beside can't be here.
    if asked is None and len(problems) < len(there):
        return 0
    for name, sentence in problems:
        _print(name, sentence)
    return 1 if problems else 0


def _taken(found: takeover.TakenOver) -> str:
    what = f"certbot's {found.lineage}, valid until {found.expires:%Y-%m-%d %H:%M} UTC"
    if not found.copied:
        return f"The store has {what}, or a later one; it is exoproxy's from now on"
    account = ", with its account" if found.account else ""
    return f"Took over {what}{account}"


def _run(
    settings: Settings,
    asked: Sequence[Wanted],
    run: Callable[[Attempt], Outcome],
    voice: Voice,
) -> int:
    # systemd's sandbox of the service takes away the right to change priorities, lower ones too.
    with suppress(PermissionError):
        os.nice(_NICENESS)
    code = 0
    for each in asked:
        try:
            with stoppable():
                code = max(code, _attempt(settings, each, run, voice))
        except Stopped as stopped:
            voice.say(each.name, "Told to stop; the attempt is made again another time")
            return stopped.code
    return code


def _attempt(
    settings: Settings,
    asked: Wanted,
    run: Callable[[Attempt], Outcome],
    voice: Voice,
) -> int:
    store = store_of(settings)

    def say(sentence: str) -> None:
        voice.say(asked.name, sentence)

    try:
        say(run(Attempt(asked, settings.acme, store, say)).sentence)
    except IssuanceProblem as problem:
        voice.complain(asked.name, str(problem))
        return 1
    except Exception:
        # A fault of our own. The other names have their turn all the same.
        logger.exception("%s: exoproxy failed; report it with what follows", asked.name)
        return 1
    return 0


def _print(name: str, sentence: str) -> None:
    print(printable(f"{name}: {sentence}"), file=sys.stderr, flush=True)


def _log(name: str, sentence: str) -> None:
    logger.info("%s: %s", name, sentence)


def _log_error(name: str, sentence: str) -> None:
    logger.error("%s: %s", name, sentence)


_TO_A_PERSON: Final = Voice(say=_print, complain=_print)
_TO_THE_LOG: Final = Voice(say=_log, complain=_log_error)
