"""Where certbot is, which some tests let work on the same files and servers as exoproxy."""

import os
import shutil
from pathlib import Path

# Made by tests/run: certbot's dependencies are no affair of the project's own environment.
INSTALLED = Path(__file__).parent.parent / ".venv-certbot/bin/certbot"


def certbot() -> str | None:
    """Return the program: $EXOPROXY_TEST_CERTBOT, what tests/run installed, or one on the PATH."""
    if named := os.environ.get("EXOPROXY_TEST_CERTBOT"):
        return named
    return str(INSTALLED) if INSTALLED.exists() else shutil.which("certbot")
