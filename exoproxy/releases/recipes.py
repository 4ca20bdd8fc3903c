"""How a source becomes a client: which scripts of its `package.json` run, and what is kept.

Explicit data, so that an operator can see what will happen. Exosphere's own is what its
`deploy/prod/main-server/build.sh` does; `minify` was a script of its own until 2023.
"""

from dataclasses import dataclass
from typing import Final

from exoproxy.releases.problem import ReleaseProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """`scripts` run in this order; the first must be there, the others are left out if they aren't.

    The client is the first of `folders` that has an index.html; or, of the source's own folder,
    the `files` and folders that are there.
    """

    scripts: tuple[str, ...]
    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


EXOSPHERE: Final = Recipe(
    scripts=("build:prod", "minify"),
    files=(
        "elm-web.js",
        "index.html",
        "ports.js",
        "cloud_configs.js",
        "config.js",
        "version.json",
        # The client asks for it, and build.sh leaves it out.
        "banners.json",
        "exosphere.webmanifest",
        "assets",
        "fonts",
        "service-worker.js",
    ),
)
OTHERS: Final = Recipe(scripts=("build",), folders=("dist", "public", "build"))
RECIPES: Final = (EXOSPHERE, OTHERS)


def recipe_for(scripts: frozenset[str]) -> Recipe:
    """Return the recipe for a package with these scripts. Raises `ReleaseProblem`."""
    for recipe in RECIPES:
        if recipe.scripts[0] in scripts:
            return recipe
    known = " nor ".join(recipe.scripts[0] for recipe in RECIPES)
    raise ReleaseProblem(
        f"The source's package.json has neither {known} among its scripts: is it a client's? Or "
        "build it yourself, and install the folder that results."
    )
