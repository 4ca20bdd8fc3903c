"""Secrets of DNS providers: where they are found, in which forms, and what is said of others."""

import os
from pathlib import Path

import pytest

from exoproxy.certs.dns.token import (
    mode_warnings,
    read_token,
    read_tsig_key,
    secret_file,
)
from exoproxy.certs.problem import IssuanceProblem

TOKEN = "v1_Sn3b-AbCdEfGhIjKlMnOpQrStUvWxYz012345678"
SECRET = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U="
# Base64 may hold what starts a comment elsewhere.
SLASHES = "ab//cdab//cdab//cdab//cdab//cdab//cd++ab//c="
BIND = f'key "exo.key" {{\n\talgorithm hmac-sha256;\n\tsecret "{SECRET}";\n}};\n'
MAKE = (
    "make one at https://dash.cloudflare.com/profile/api-tokens with the permissions "
    "Zone / DNS / Edit and Zone / Zone / Read, for your zone alone"
)
FORMS = (
    'write it as `tsig-keygen NAME` prints it (key "NAME" { algorithm hmac-sha256; secret "…"; };),'
    " or as certbot's rfc2136.ini"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "secret"


class TestToken:
    """Cloudflare's token, bare or in certbot's file."""

    @pytest.mark.parametrize(
        "content",
        [
            TOKEN,
            f"{TOKEN}\n",
            f"\ufeff\n  {TOKEN}\t\r\n\n",
            f"# the token of example.org\n{TOKEN}\n",
            f"'{TOKEN}'",
            f'"{TOKEN}"\n',
            f"Bearer {TOKEN}",
            f"Authorization: bearer  {TOKEN}\n",
            f'"Bearer {TOKEN}"',
            f"dns_cloudflare_api_token = {TOKEN}\n",
            f"# Cloudflare API token\ndns_cloudflare_api_token={TOKEN}\n",
            f'dns_cloudflare_api_token = "{TOKEN}" # for certbot\n',
        ],
    )
    def test_forms(self, file: Path, content: str) -> None:
        """Each form in which a token is kept is read, less what is harmless around it."""
        file.write_text(content, encoding="utf-8")

        assert read_token(file).get_secret_value() == TOKEN

    @pytest.mark.parametrize("token", ["short", "cfut_" + "x" * 200, "a.b~c+d/e-f_g=="])
    def test_any_length(self, file: Path, token: str) -> None:
        """A token's length and prefix are Cloudflare's affair."""
        file.write_text(token, encoding="utf-8")

        assert read_token(file).get_secret_value() == token

    def test_never_shown(self, file: Path) -> None:
        """What was read does not print."""
        file.write_text(TOKEN, encoding="utf-8")
        token = read_token(file)

        assert TOKEN not in f"{token} {token!r}"

    def test_missing(self, file: Path) -> None:
        """A file that is not there is told with how to get what belongs in it."""
        assert problem_of_token(file) == (
            f"The file {file} does not exist: put Cloudflare's API token there: {MAKE}."
        )

    def test_folder(self, tmp_path: Path) -> None:
        """So is a folder in its place."""
        assert problem_of_token(tmp_path) == (
            f"The file {tmp_path} can't be read (Is a directory): put Cloudflare's API token "
            f"there: {MAKE}."
        )

    def test_unreadable(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A lack of permission names the user that lacks it."""

        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
        monkeypatch.setattr(os, "geteuid", lambda: 4242)

        assert problem_of_token(file) == (
            f"The file {file} may not be read by the user that exoproxy runs as (id 4242): grant "
            "it the permission to read the file and to enter its folders."
        )

    @pytest.mark.parametrize("content", ["", "\n \n", "# nothing yet\n", "\ufeff"])
    def test_empty(self, file: Path, content: str) -> None:
        """A file without content, or with comments alone, is empty."""
        file.write_text(content, encoding="utf-8")

        assert problem_of_token(file) == (
            f"The file {file} is empty: put Cloudflare's API token there: {MAKE}."
        )

    @pytest.mark.parametrize(
        "content", [b"abc\x00def", b"\x1b[31mabc", b"abc\x0bdef", b"\xff\xfe", b"\xe4\xf6"]
    )
    def test_no_text(self, file: Path, content: bytes) -> None:
        """Bytes that are no text are no token, and are not shown."""
        file.write_bytes(content)

        assert problem_of_token(file) == (
            f"The file {file} has control characters or is no text: put Cloudflare's API token "
            f"there: {MAKE}."
        )

    def test_several_lines(self, file: Path) -> None:
        """Two lines are not guessed at."""
        file.write_text(f"{TOKEN}\n{TOKEN}\n", encoding="utf-8")

        assert problem_of_token(file) == (
            f"The token file {file} has 2 lines: leave Cloudflare's API token alone on one line, "
            "or write `dns_cloudflare_api_token = TOKEN` as for certbot."
        )

    @pytest.mark.parametrize(
        "content",
        [
            "two words",
            'quote"inside',
            "'half",
            "bücher",
            "a\x7fb",
            "CLOUDFLARE_API_TOKEN=abcdef",
            "dns_cloudflare_api_token = two words",
            '""',
            "Bearer ",
        ],
    )
    def test_no_token(self, file: Path, content: str) -> None:
        """What has characters that no token has is refused before it is sent, and not shown."""
        file.write_text(content, encoding="utf-8")

        assert problem_of_token(file) == (
            f"What is in {file} is no API token: it has spaces, quotes or other characters that no "
            "token has; copy the token again, alone on one line."
        )

    @pytest.mark.parametrize(
        "content",
        [
            "dns_cloudflare_email = a@example.org\ndns_cloudflare_api_key = 0123456789abcdef\n",
            "dns_cloudflare_api_key = 0123456789abcdef\n",
            "dns_cloudflare_email = a@example.org\ndns_cloudflare_api_token =\n",
        ],
    )
    def test_global_key(self, file: Path, content: str) -> None:
        """A global API key is refused, with which token to make."""
        file.write_text(content, encoding="utf-8")

        assert problem_of_token(file) == (
            f"The file {file} holds a global API key, which opens the whole Cloudflare account; an "
            f"API token is needed: {MAKE}, and write it there as `dns_cloudflare_api_token = "
            "TOKEN`."
        )

    @pytest.mark.parametrize("content", ["dns_cloudflare_api_token=", "dns_rfc2136_name = x"])
    def test_other_ini(self, file: Path, content: str) -> None:
        """A file of certbot's without a token is told what it lacks."""
        file.write_text(content, encoding="utf-8")

        assert problem_of_token(file).startswith(
            f"The file {file} has no dns_cloudflare_api_token: write"
        )


class TestTsigKey:
    """A TSIG key, as BIND or certbot writes it."""

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (BIND, ("exo.key", "hmac-sha256", SECRET)),
            (BIND.replace('"', ""), ("exo.key", "hmac-sha256", SECRET)),
            (BIND.replace("\n", " "), ("exo.key", "hmac-sha256", SECRET)),
            (BIND.replace(SECRET, SLASHES), ("exo.key", "hmac-sha256", SLASHES)),
            (f"// for exoproxy\n# as well\n{BIND}", ("exo.key", "hmac-sha256", SECRET)),
            (
                f"dns_rfc2136_server = 192.0.2.1\ndns_rfc2136_name = k.\n"
                f"dns_rfc2136_secret = {SECRET}\ndns_rfc2136_algorithm = HMAC-SHA512\n",
                ("k.", "hmac-sha512", SECRET),
            ),
            (
                f'dns_rfc2136_name="k"\ndns_rfc2136_secret="{SECRET}"\n',
                ("k", "hmac-md5", SECRET),
            ),
            (
                BIND.replace("hmac-sha256", "HMAC-MD5.SIG-ALG.REG.INT."),
                ("exo.key", "hmac-md5", SECRET),
            ),
        ],
    )
    def test_forms(self, file: Path, content: str, expected: tuple[str, str, str]) -> None:
        """Both forms are read, with or without quotes, comments and line ends."""
        file.write_text(content, encoding="utf-8")
        key = read_tsig_key(file)

        assert (key.name, key.algorithm, key.secret.get_secret_value()) == expected
        assert expected[2] not in repr(key)

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ("", f"is empty: put the key there that your name server knows: {FORMS}."),
            (SECRET, f"holds no TSIG keys: {FORMS}."),
            (BIND * 2, f"holds 2 TSIG keys: {FORMS}."),
            (BIND.replace("exo.key", "exo key"), f"holds no TSIG keys: {FORMS}."),
            (BIND.replace("exo.key", "exo/key"), f"has no usable name: {FORMS}."),
            (
                f"dns_rfc2136_name = a..b\ndns_rfc2136_secret = {SECRET}",
                f"has no usable name: {FORMS}.",
            ),
            (
                f"dns_rfc2136_name = {'a' * 64}\ndns_rfc2136_secret = {SECRET}",
                f"has no usable name: {FORMS}.",
            ),
            (
                BIND.replace("hmac-sha256", "gss-tsig"),
                "names no algorithm that is known here: use one of hmac-md5, hmac-sha1, "
                "hmac-sha224, hmac-sha256, hmac-sha384, hmac-sha512.",
            ),
            (BIND.replace(SECRET, "c2Vj*"), f"is missing or no base64: {FORMS}."),
            (BIND.replace(SECRET, "c2V"), f"is missing or no base64: {FORMS}."),
            ("dns_rfc2136_name = k\n", f"is missing or no base64: {FORMS}."),
        ],
    )
    def test_problems(self, file: Path, content: str, said: str) -> None:
        """What is no key has a sentence that names the forms, and shows no secret."""
        file.write_text(content, encoding="utf-8")
        with pytest.raises(IssuanceProblem) as problem:
            read_tsig_key(file)

        assert str(problem.value).endswith(said)
        assert str(file) in str(problem.value)
        assert SECRET not in str(problem.value)


class TestPlace:
    """Which file is read."""

    def test_configured(self, tmp_path: Path) -> None:
        """Without a credential of systemd the configured file is read."""
        configured = tmp_path / "configured"

        assert secret_file(configured, "a.token", {}) == configured
        assert secret_file(configured, "a.token", {"CREDENTIALS_DIRECTORY": ""}) == configured
        assert (
            secret_file(configured, "a.token", {"CREDENTIALS_DIRECTORY": str(tmp_path)})
            == configured
        )

    @pytest.mark.parametrize(("content", "wins"), [("token\n", True), ("", False), ("\n", False)])
    def test_credential(self, tmp_path: Path, content: str, wins: bool) -> None:
        """A credential wins, unless it is empty."""
        configured, credential = tmp_path / "configured", tmp_path / "a.token"
        credential.write_text(content, encoding="utf-8")
        chosen = secret_file(configured, "a.token", {"CREDENTIALS_DIRECTORY": str(tmp_path)})

        assert chosen == (credential if wins else configured)

    def test_unreadable_credential(self, tmp_path: Path) -> None:
        """A credential that can't be looked at is not passed over in silence."""
        (tmp_path / "loop").symlink_to("loop")
        environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}

        assert secret_file(tmp_path / "configured", "loop", environment) == tmp_path / "loop"

    @pytest.mark.parametrize(
        ("mode", "warned"),
        [
            (0o600, False),
            (0o400, False),
            (0o640, False),
            (0o660, False),
            (0o604, True),
            (0o644, True),
            (0o602, True),
            (0o777, True),
        ],
    )
    def test_modes(self, file: Path, mode: int, warned: bool) -> None:
        """A file that every user may read or write is warned of, and read all the same."""
        file.write_text(TOKEN, encoding="utf-8")
        file.chmod(mode)
        sentence = (
            f"The secret in {file} can be read or written by every user of this machine (mode "
            f"{mode:o}): run `chmod o= {file}`, and think about a new one."
        )

        assert mode_warnings(file) == [sentence] * warned
        assert read_token(file).get_secret_value() == TOKEN

    def test_mode_of_nothing(self, file: Path) -> None:
        """A file that is not there has no mode to warn of."""
        assert mode_warnings(file) == []


def problem_of_token(path: Path) -> str:
    """Return why a token can't be read."""
    with pytest.raises(IssuanceProblem) as problem:
        read_token(path)
    return str(problem.value)
