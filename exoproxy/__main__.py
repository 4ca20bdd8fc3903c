"""`python -m exoproxy` is the command `exoproxy`."""

import sys

from exoproxy.cli import main

sys.exit(main())
