"""exoproxy: the web server and reverse proxy of an Exosphere deployment.

How a request travels: `net.listen` accepts, `proxy.inbound` reads the head that `wire` understands,
a site (`main` or `uap`) decides with `rules`, and `proxy` carries the decision out.
"""

from typing import Final

__version__: Final = "0.1.0"
