"""Which scripts run, and what is kept."""

import pytest

from exoproxy.releases.problem import ReleaseProblem
from exoproxy.releases.recipes import EXOSPHERE, OTHERS, Recipe, recipe_for


@pytest.mark.parametrize(
    ("scripts", "recipe"),
    [
        ({"build:prod", "postinstall"}, EXOSPHERE),
        ({"build:prod", "minify", "build"}, EXOSPHERE),
        ({"build", "test"}, OTHERS),
    ],
)
def test_recipes(scripts: set[str], recipe: Recipe) -> None:
    """Exosphere's is known by its script, which wins over the usual one."""
    assert recipe_for(frozenset(scripts)) is recipe


def test_no_recipe() -> None:
    """A package that builds no client is not guessed at."""
    with pytest.raises(ReleaseProblem, match="neither build:prod nor build among its scripts"):
        recipe_for(frozenset({"start"}))
