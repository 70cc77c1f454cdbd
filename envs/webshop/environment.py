"""`gymnasium.make("kalm/WebShop-v0")`: the text shop as a Gymnasium environment.

One thing to know: actions are free text, of which nearly all is illegal and does nothing, so a
uniform sample of the action space is no sensible policy; `info["valid_actions"]` lists what is
legal (`search[keywords]` stands for any keywords).
"""

import difflib
import string
from functools import lru_cache
from typing import Any, ClassVar

import gymnasium
from gymnasium.spaces import Text

from envs.webshop.generation import DEFAULT_SIZE, generate_catalogue
from envs.webshop.goals import ShoppingGoal, generate_goals
from envs.webshop.products import Catalogue, Product
from envs.webshop.shop import Session, Shop
from envs.webshop.text import INSTRUCTION_HEAD, SEPARATOR

ACTION_LENGTH = 500  # characters of the longest action in the action space
DEFAULT_GOALS = 500
DEFAULT_STEPS = 100


class WebShopEnv(gymnasium.Env):  # type: ignore[misc]  # no stubs
    """One shopper; a purchase terminates and gives the reward, the horizon truncates.

    `reset(options=...)` takes `goal`: a goal's text, its index, or a `ShoppingGoal`.

    Args:
        shop: what is sold; a generated catalogue unless given.
        goals: what new episodes draw from; generated goals of `split` unless given.
        split: "train" or "test".
        num_products: of the generated catalogue.
        num_goals: of the generated goals.
        seed: of the generated catalogue and goals; episodes are seeded by `reset`.
        horizon_steps: an episode is truncated after this many steps.
        show_instruction: begin every observation with the instruction, as the original does.
        search_anywhere: accept searches on every page; of a generated shop only.
        render_mode: "ansi" or None.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi"], "render_fps": 1}

    def __init__(
        self,
        shop: Shop | None = None,
        goals: tuple[ShoppingGoal, ...] | None = None,
        *,
        split: str = "train",
        num_products: int = DEFAULT_SIZE,
        num_goals: int = DEFAULT_GOALS,
        seed: int = 0,
        horizon_steps: int = DEFAULT_STEPS,
        show_instruction: bool = True,
        search_anywhere: bool = False,
        render_mode: str | None = None,
    ) -> None:
        if horizon_steps < 1:
            raise ValueError(f"Expected horizon_steps of at least 1, got {horizon_steps}.")
        self.shop = shop or generated_shop(num_products, seed, search_anywhere)
        self.goals = goals or generate_goals(self.shop.catalogue, split, num_goals, seed)
        self.session = Session(self.shop, self.goals[0])
        self.render_mode = render_mode
        characters = _characters(self.shop.catalogue, self.goals)
        longest = max(len(goal.text) for goal in self.goals) + _page_length(self.shop.catalogue)
        self.observation_space = Text(longest, charset=characters)
        self.action_space = Text(ACTION_LENGTH, min_length=0, charset=characters)
        self._horizon_steps, self._show_instruction = horizon_steps, show_instruction
        self._num_steps, self._running = 0, False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """A new episode on the search page; the same seed gives the same goal in every instance."""
        super().reset(seed=seed)
        given = dict(options or {})
        if unknown := set(given) - {"goal"}:
            raise ValueError(f"Expected the reset option goal only, got {sorted(unknown)}.")
        drawn = int(self.np_random.integers(len(self.goals)))
        self.session.reset(self.find_goal(given.get("goal", drawn)))
        self._num_steps, self._running = 0, True
        return self._observation(), self._info()

    def find_goal(self, goal: ShoppingGoal | str | int) -> ShoppingGoal:
        """A goal itself, by its text, or by its index.

        Raises:
            ValueError: no such goal; the nearest text is suggested.
        """
        if isinstance(goal, ShoppingGoal):
            return goal
        if isinstance(goal, int):
            if not 0 <= goal < len(self.goals):
                raise ValueError(f"Expected a goal index below {len(self.goals)}, got {goal}.")
            return self.goals[goal]
        texts = {known.text: known for known in self.goals}
        if goal in texts:
            return texts[goal]
        near = difflib.get_close_matches(goal[:300], texts, n=1, cutoff=0.0)[0]
        raise ValueError(f"Unknown goal `{goal[:300]}`. Did you mean `{near}`?")

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Observation, reward, terminated (bought), truncated (horizon), info.

        Raises:
            ValueError: the episode has ended, or the action is no text.
        """
        if not self._running:
            raise ValueError("The episode has ended or not begun. Call reset before step.")
        if not isinstance(action, str):
            raise ValueError(f"Expected an action like `click[buy now]`, got {action!r}.")
        _, reward, terminated = self.session.step(action)
        self._num_steps += 1
        truncated = not terminated and self._num_steps >= self._horizon_steps
        self._running = not (terminated or truncated)
        return self._observation(), reward, terminated, truncated, self._info()

    def _observation(self) -> str:
        if not self._show_instruction:
            return self.session.text()
        return f"{INSTRUCTION_HEAD}{self.session.goal.text}{SEPARATOR}{self.session.text()}"

    def _info(self) -> dict[str, Any]:
        score = self.session.score
        return {
            "valid_actions": self.session.valid_actions(),
            "goal": self.session.goal.text,
            "level": self.session.goal.level,
            "kind": self.session.goal.kind,
            "page": self.session.page.kind,
            "success": score is not None and score.reward == 1.0,
            "score": score,
        }

    def render(self) -> str | None:
        """The observation, or None without a render mode."""
        return None if self.render_mode is None else self._observation()


@lru_cache(maxsize=4)
def generated_shop(num_products: int, seed: int, search_anywhere: bool = False) -> Shop:
    """A shop with a generated catalogue, shared by all who ask for the same."""
    return Shop(generate_catalogue(num_products, seed), search_anywhere=search_anywhere)


def _texts(product: Product) -> list[str]:
    """Everything that pages show of a product."""
    options = [text for name, own in product.options.items() for text in (name, *own, *own)]
    lines = [*product.bullets, *product.reviews, *product.attributes, *product.category_path]
    return [product.name, product.description, product.category, *options, *lines]


def _characters(catalogue: Catalogue, goals: tuple[ShoppingGoal, ...]) -> frozenset[str]:
    found = set(string.ascii_letters + string.digits + string.punctuation + " \n")
    for product in catalogue.products:
        found.update(*_texts(product))
    return frozenset(found.union(*(goal.text for goal in goals)))


def _page_length(catalogue: Catalogue) -> int:
    """No page is longer: ten titles, or all texts of one product, with separators."""
    item = max(sum(len(text) + 20 for text in _texts(product)) for product in catalogue.products)
    results = 10 * (max(len(product.name) for product in catalogue.products) + 100)
    return max(item, results) + 500
