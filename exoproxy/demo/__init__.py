"""The demo: both modes, a stand-in cloud and a stand-in instance, on loopback.

`run` is the command. `plan` says what is where, `life` starts it; `cloud`, `instance` and the page
in the folder `client` are what the proxies stand between.
"""

from exoproxy.demo.life import run

__all__ = ["run"]
