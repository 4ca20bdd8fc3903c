"""The frame of our own HTML pages: one style, light and dark, and nothing that is loaded.

`problem` puts errors into it, and the UAP's site what its bare name shows.
"""

from typing import Final

from exoproxy.wire.fields import Field

# Of every answer of our own, whatever its form.
SECURITY_FIELDS: Final[list[Field]] = [
    (b"Cache-Control", b"no-store"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"no-referrer"),
    (
        b"Content-Security-Policy",
        b"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    ),
]

_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{refresh}<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --back: #f4f6f9; --card: #fff; --text: #1c232d; --soft: #566170;
  --line: #d8dee6; --warm: #a8451a; --link: #1a5fa8; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --back: #14181e; --card: #1d232b; --text: #e8ecf1; --soft: #a3aebc; --line: #38424e;
    --warm: #f2a37a; --link: #8cbff2; }}
}}
* {{ box-sizing: border-box; }}
body {{ background: var(--back); color: var(--text); display: grid; font: 1.0625rem/1.55 system-ui,
  sans-serif; margin: 0; min-height: 100vh; padding: 1rem; place-items: center; }}
main {{ background: var(--card); border: 1px solid var(--line); border-radius: .75rem;
  max-width: 38rem; overflow: hidden; padding: 2rem; position: relative; width: 100%; }}
h1 {{ font-size: 1.375rem; line-height: 1.35; margin: 0 0 1rem; text-wrap: balance; }}
p {{ margin: 0 0 1rem; overflow-wrap: anywhere; }}
a {{ color: var(--link); }}
main > :last-child {{ margin-bottom: 0; }}
.status {{ color: var(--warm); font-weight: 600; margin: 0 0 .375rem; }}
.wait {{ animation: wait linear both; background: var(--link); height: .25rem; left: 0;
  position: absolute; top: 0; transform-origin: left; width: 100%; }}
@keyframes wait {{ from {{ transform: scaleX(0); }} }}
@media (prefers-reduced-motion: reduce) {{ .wait {{ display: none; }} }}
footer {{ border-top: 1px solid var(--line); color: var(--soft); font-size: .875rem;
  margin-top: 1.5rem; overflow-wrap: anywhere; padding-top: 1rem; }}
</style>
</head>
<body>
<main>
{body}</main>
</body>
</html>
"""


def page(title: str, body: str, *, refresh: int | None = None) -> str:
    """Return a page; `title` and `body` are HTML, `refresh` the seconds until it loads again."""
    again = f'<meta http-equiv="refresh" content="{refresh}">\n' if refresh else ""
    return _PAGE.format(title=title, body=body, refresh=again)
