"""`exoproxy cert import`: go on with what certbot has.

The tree may be the store itself (`acme.store: /etc/letsencrypt`): then its certificates stay where
they are. From any other tree the newest good version of one lineage and one account are copied,
and that tree is not touched. Called by the command line, which holds the store's lock.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from exoproxy.certs import state
from exoproxy.certs.certbot.accounts import Accounts
from exoproxy.certs.certbot.lineage import Stored, lineage_name, lineages, name_of, newest_version
from exoproxy.certs.certbot.renewal_conf import Renewal, parameters
from exoproxy.certs.context import covers, process_user
from exoproxy.certs.folder import opened
from exoproxy.certs.problem import IssuanceProblem
from exoproxy.certs.store import Store

CERTBOT: Final = Path("/etc/letsencrypt")
_CONF_LIMIT: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenOver:
    """What was taken over.

    `lineage` is where it was found, `names` what the certificate covers, `expires` (aware) when it
    ends. `directory` is the URL of the authority that issued it, empty if certbot doesn't say.
    `account` is the id of the account at the wanted authority, empty if there was none. `copied`
    is False if the store had the certificate, or a later one, already. `advice` are sentences.
    """

    lineage: str
    names: tuple[str, ...]
    expires: datetime
    directory: str
    account: str
    copied: bool
    advice: tuple[str, ...]


def take_over(
    store: Store, name: str, names: Sequence[str], directory: str, *, tree: Path = CERTBOT
) -> TakenOver:
    """Take the certificate for `names`, which is to be called `name`, and the account.

    `directory` is the URL of the authority that will renew. Raises `IssuanceProblem`; if that is
    because there is nothing to take, nothing has been changed.
    """
    found = _find(tree, name, names)
    conf = _conf(tree, found.lineage)
    in_place = tree.resolve() == store.folder.resolve()
    account = _take_account(tree, store, directory, conf.get("account", ""))
    copied = _is_better(found, store.newest(name), names)
    if copied:
        store.prepare(name)
        store.save(
            name,
            key=found.key.read_bytes(),
            fullchain=found.fullchain.read_bytes(),
            renewal=_renewal(found.certificate, conf, directory, account),
        )
    issuer = conf.get("server", "")
    if copied or in_place:
        remembered = state.load(store.state_file(name))
        remembered = replace(remembered, directory=issuer, window=None, window_of="")
        state.save(store.state_file(name), remembered)
    advice = [
        *_advice_on_certificate(found.certificate, issuer, directory, account),
        *_advice_on_certbot(tree, found.lineage, conf),
    ]
    if not in_place:
        advice.append(
            f"Programs that use {tree / 'live' / found.lineage} keep what is there, but what "
            f"exoproxy renews is in {store.folder / 'live' / lineage_name(name)}: point them there."
        )
    return TakenOver(
        lineage=found.lineage,
        names=_names(found.certificate),
        expires=found.certificate.not_valid_after_utc,
        directory=issuer,
        account=account,
        copied=copied,
        advice=tuple(advice),
    )


def _find(tree: Path, name: str, names: Sequence[str]) -> Stored:
    """Return the latest version in a tree that covers all names, whatever its lineage is called."""
    try:
        there = lineages(tree)
    except PermissionError as error:
        raise IssuanceProblem(
            f"The folder {tree} may not be read by {process_user()}: run this as root."
        ) from error
    except OSError as error:
        raise IssuanceProblem(
            f"The folder {tree} can't be read ({error.strerror}): name the one that certbot keeps "
            f"its files in, usually {CERTBOT}."
        ) from error
    if not there:
        raise IssuanceProblem(
            f"There is no certificate of certbot's in {tree}: name the folder that has archive/, "
            f"live/ and renewal/, usually {CERTBOT}."
        )
    own = lineage_name(name)
    reasons: list[str] = []
    fitting, others = [], []
    for lineage in there:
        skipped: list[str] = []
        version = newest_version(tree, lineage, skipped.append)
        missing = [each for each in names if version and not covers(version.certificate, each)]
        if version and not missing:
            fitting.append(version)
        elif name_of(lineage) != own:
            others.append(lineage)
        elif version:
            reasons.append(f"{lineage} does not cover {', '.join(missing)}")
        else:
            reasons += skipped or [f"{lineage} has no version with all four files"]
    if fitting:
        return max(fitting, key=lambda version: version.certificate.not_valid_before_utc)
    if reasons:
        why = "; ".join(reason.removesuffix(".") for reason in reasons)
        raise IssuanceProblem(
            f"The certificate for {own} in {tree} can't be taken over ({why}): get a new one with "
            "`exoproxy cert issue`."
        )
    raise IssuanceProblem(
        f"No certificate in {tree} covers {', '.join(names)}; there are {', '.join(others[:9])}: "
        "get a new one with `exoproxy cert issue`."
    )


def _conf(tree: Path, lineage: str) -> dict[str, str]:
    """Return what certbot notes on a lineage; nothing if that can't be read."""
    try:
        with opened(tree / "renewal", make=False) as folder:
            conf = folder.read(f"{lineage}.conf", limit=_CONF_LIMIT)
    except OSError:
        return {}
    return parameters(conf.decode(errors="replace"))


def _take_account(tree: Path, store: Store, directory: str, preferred: str) -> str:
    """Return the id of the account to go on with, copied if need be; empty if there is none."""
    ours = Accounts(store.folder, directory)
    account = ours.load(preferred)
    if account is None:
        account = Accounts(tree, directory).load(preferred)
        if account is not None:
            ours.save(account, None)
    return account.id if account else ""


def _is_better(found: Stored, ours: Stored | None, names: Sequence[str]) -> bool:
    """Tell whether what was found should take the place of what the store has."""
    if ours is None or not all(covers(ours.certificate, name) for name in names):
        return True
    return found.certificate.not_valid_before_utc > ours.certificate.not_valid_before_utc


def _renewal(
    certificate: x509.Certificate, conf: dict[str, str], directory: str, account: str
) -> Renewal:
    """Return what certbot needs to renew the copy as it renews the original."""
    authenticator = conf.get("authenticator", "")
    prefix = authenticator.replace("-", "_") + "_"
    return Renewal(
        server=directory,
        account=account,
        key_type=_key_type(certificate),
        authenticator=authenticator,
        options={
            key: value
            for key, value in conf.items()
            # Lists, which only webroot has, are of no use: port 80 is ours from now on.
            if key.startswith(prefix) and "," not in value
        },
    )


def _key_type(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, RSAPublicKey):
        return f"rsa-{key.key_size}"
    return f"ecdsa-p{key.key_size}" if isinstance(key, EllipticCurvePublicKey) else "ecdsa-p256"


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return tuple(alternatives.value.get_values_for_type(x509.DNSName))


def _advice_on_certificate(
    certificate: x509.Certificate, issuer: str, directory: str, account: str
) -> Iterator[str]:
    if issuer and issuer != directory:
        yield (
            f"The certificate comes from {issuer}, not from {directory}: run `exoproxy cert renew` "
            "to replace it."
        )
    if certificate.not_valid_after_utc < datetime.now(UTC):
        yield "The certificate has expired: run `exoproxy cert renew` to replace it."
    if not account:
        yield f"certbot has no account at {directory}: the next renewal registers one."


def _advice_on_certbot(tree: Path, lineage: str, conf: dict[str, str]) -> Iterator[str]:
    if conf and conf.get("autorenew") != "False":
        yield (
            "certbot would renew the certificate, too: write `autorenew = False` below "
            f"[renewalparams] in {tree / 'renewal' / lineage}.conf, or, if it has nothing else to "
            "renew, stop it with `systemctl disable --now certbot.timer` (of the snap: "
            "snap.certbot.renew.timer)."
        )
    hooks: list[str] = [key for key in ("pre_hook", "post_hook", "renew_hook") if key in conf]
    hooks += [str(path.relative_to(tree)) for path in sorted(tree.glob("renewal-hooks/*/*"))]
    if hooks:
        yield (
            f"exoproxy does not run certbot's hooks ({', '.join(hooks)}): programs other than "
            "exoproxy must read renewed files by themselves."
        )
