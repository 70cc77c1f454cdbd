"""The text shop's pages: what each action leads to, what is illegal, what is remembered."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from webshop_samples import make_goal, make_product, shirts, shop_of, small_catalogue, small_shop

from envs.webshop.goals import generate_goals
from envs.webshop.pages import Page, parse_action
from envs.webshop.rewards import score_purchase
from envs.webshop.shop import Session
from envs.webshop.text import history_text, history_texts

SHIRT = "b000000001"
WORDS = ("soft", "cotton", "shirt", "lamp", "desk", "tea")
ITEM_BUTTONS = [
    "click[back to search]",
    "click[< prev]",
    "click[description]",
    "click[features]",
    "click[reviews]",
    "click[attributes]",
    "click[buy now]",
]


def session_at(*actions: str, **options: bool) -> Session:
    session = Session(shop_of(make_product(), **options), make_goal())
    for action in actions:
        session.step(action)
    return session


ON_ITEM = ("search[cotton shirt]", f"click[{SHIRT}]")


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("search[Red Shirt]", ("search", "red shirt")),
        (" click[Buy Now] ", ("click", "buy now")),
        ("click[a [b] c]", ("click", "a [b] c")),
        ("search[]", None),
        ("search[  ]", None),
        ("buy now", None),
        ("think[what next]", None),
        ("", None),
    ],
)
def test_actions_are_verb_and_argument_in_lower_case(
    action: str, expected: tuple[str, str] | None
) -> None:
    assert parse_action(action) == expected


def test_the_search_page_offers_search_only() -> None:
    session = session_at()
    assert session.valid_actions() == ["search[keywords]"]
    assert session.text() == "WebShop [SEP] Search\nAvailable actions: search[keywords]"


def test_results_show_id_title_and_price_of_ten_a_page() -> None:
    session = Session(shop_of(*shirts(23)), make_goal())
    text, reward, ended = session.step("search[Shirt]")
    assert (reward, ended) == (0.0, False)
    assert text.startswith("back to search [SEP] Page 1 (Total results: 23) [SEP] next > [SEP] ")
    assert "B000000000 [SEP] Acme Cotton Shirt [SEP] $25.00 [SEP] B000000001" in text
    links = [f"click[b{number:09d}]" for number in range(23)]
    assert session.valid_actions() == ["click[back to search]", "click[next >]", *links[:10]]
    session.step("click[next >]")
    assert session.valid_actions()[1:] == ["click[< prev]", "click[next >]", *links[10:20]]
    session.step("click[next >]")
    assert session.valid_actions()[1:] == ["click[< prev]", *links[20:]]
    session.step("click[< prev]")
    assert session.page.number == 2


def test_at_most_five_pages_of_results_are_shown() -> None:
    session = Session(shop_of(*shirts(60)), make_goal())
    session.step("search[shirt]")
    for _ in range(10):
        session.step("click[next >]")
    assert session.page.number == 5
    assert "Page 5 (Total results: 50)" in session.text()


def test_a_search_that_finds_nothing_offers_the_way_back() -> None:
    session = session_at("search[zebra]")
    assert session.valid_actions() == ["click[back to search]"]


def test_an_item_page_offers_buttons_and_option_values() -> None:
    session = session_at(*ON_ITEM)
    values = [f"click[{value}]" for value in ("crimson", "navy", "small", "medium")]
    assert session.valid_actions() == ITEM_BUTTONS + values
    assert session.text().startswith(
        "back to search [SEP] < prev [SEP] color [SEP] crimson [SEP] navy [SEP] size [SEP] small "
        "[SEP] medium [SEP] Acme Cotton Shirt [SEP] Price: $25.00 [SEP] description [SEP] "
    )


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("description", "A shirt for warm days."),
        ("features", "breathable fabric [SEP] button closure"),
        ("reviews", "None"),
        ("attributes", "machine wash [SEP] slim fit [SEP] shirts [SEP] Clothing > Tops"),
    ],
)
def test_sub_pages_show_their_texts_and_lead_back_with_options_kept(label: str, shown: str) -> None:
    session = session_at(*ON_ITEM, "click[navy]", f"click[{label}]")
    assert shown in session.text()
    assert session.valid_actions() == ["click[back to search]", "click[< prev]"]
    session.step("click[< prev]")
    assert session.page.kind == "item"
    assert session.page.chosen == {"color": "navy"}


def test_attributes_can_be_hidden() -> None:
    session = session_at(*ON_ITEM, show_attributes=False)
    assert "click[attributes]" not in session.valid_actions()
    session.step("click[attributes]")
    assert session.page.kind == "item"
    assert "attributes" not in session.text()


def test_options_are_stored_and_replaced_on_click() -> None:
    session = session_at(*ON_ITEM, "click[navy]", "click[small]", "click[Crimson]")
    assert session.page.chosen == {"color": "crimson", "size": "small"}
    assert session.text().split("\n")[0].endswith("Chosen [SEP] color: crimson [SEP] size: small")


@pytest.mark.parametrize("way_back", ["click[back to search]", "click[< prev]"])
def test_leaving_the_item_clears_its_options(way_back: str) -> None:
    session = session_at(*ON_ITEM, "click[navy]", way_back)
    assert session.page.options == ()
    if session.page.kind == "search":
        session.step(ON_ITEM[0])
    session.step(ON_ITEM[1])
    assert session.page.chosen == {}


def test_buying_gives_the_reward_once_and_ends() -> None:
    session = session_at(*ON_ITEM, "click[crimson]", "click[small]")
    text, reward, ended = session.step("click[buy now]")
    assert (reward, ended) == (1.0, True)
    assert text.startswith("Thank you for shopping with us! [SEP] B000000001")
    assert "color: crimson" in text
    assert session.valid_actions() == []
    assert session.score is not None
    assert session.score.reward == 1.0
    assert session.step("click[buy now]") == (text, 0.0, True)
    assert session.step("search[shirt]")[1:] == (0.0, True)


def test_the_reward_of_a_purchase_is_the_formulas() -> None:
    session = session_at(*ON_ITEM, "click[navy]")
    expected = score_purchase(make_goal(), make_product(), 25.0, {"color": "navy"}).reward
    assert session.step("click[buy now]")[1] == expected == pytest.approx(3 / 5)


@pytest.mark.parametrize(
    "action",
    ["", "jump", "search[]", "click[zebra]", "click[next >]", "search[shirt]", "click[B000000009]"],
)
def test_an_illegal_action_changes_nothing_and_gives_0(action: str) -> None:
    session = session_at(*ON_ITEM, "click[navy]")
    before, text = session.save(), session.text()
    assert session.step(action) == (text, 0.0, False)
    assert session.save() == before


def test_search_on_every_page_is_an_option() -> None:
    free = session_at(*ON_ITEM, "click[navy]", search_anywhere=True)
    assert free.valid_actions()[0] == "search[keywords]"
    free.step("search[zebra]")
    assert free.page == Page("results", "zebra")
    free = session_at(*ON_ITEM, "click[buy now]", search_anywhere=True)
    assert free.valid_actions() == []
    assert free.step("search[shirt]")[2]


def test_a_value_of_two_groups_counts_for_the_last_and_a_button_wins_over_an_option() -> None:
    options = {"frame": ("black", "buy now"), "lens": ("black", "clear")}
    session = Session(shop_of(make_product(options=options)), make_goal())
    for action in (*ON_ITEM, "click[black]"):
        session.step(action)
    assert session.page.chosen == {"lens": "black"}
    assert session.step("click[buy now]")[2]


def test_stored_actions_can_be_judged_by_another_goal() -> None:
    shop = shop_of(make_product())
    pages = shop.replay([*ON_ITEM, "click[navy]", "jump", "click[buy now]"])
    assert [page.kind for page in pages] == ["search", "results", "item", "item", "item", "done"]
    # The shirt in navy lacks the wanted size: 4 of 5 things.
    assert (
        shop.score(pages[-1], make_goal(options={"color": "blue", "size": "small"})).reward == 0.8
    )


def test_sessions_can_be_saved_restored_and_copied() -> None:
    session = session_at(*ON_ITEM, "click[crimson]")
    kept, twin = session.save(), session.copy()
    session.step("click[buy now]")
    assert twin.page.kind == "item"
    twin.step("click[small]")
    assert session.page.kind == "done"
    session.load(kept)
    assert (session.page.chosen, session.score) == ({"color": "crimson"}, None)
    assert session.step("click[small]") == (twin.text(), 0.0, False)


@given(st.data())
def test_listed_actions_are_the_ones_that_do_something(data: st.DataObject) -> None:
    """On a random walk every listed action leads to another page, options chosen again aside."""
    shop = small_shop()
    session = Session(shop, generate_goals(small_catalogue(), "train", 1)[0])
    words = small_catalogue().products[data.draw(st.integers(0, 599))].name
    for _ in range(8):
        for label, following in shop.clicks(session.page).items():
            assert following != session.page or label in session.page.chosen.values()
            assert shop.follow(session.page, f"click[{label.upper()}]") == following
        for label in ("buy now", "next >", "< prev", "description"):
            if f"click[{label}]" not in session.valid_actions():
                assert shop.follow(session.page, f"click[{label}]") == session.page
        if not (actions := session.valid_actions()):
            break
        action = data.draw(st.sampled_from(actions))
        session.step(f"search[{words}]" if action == "search[keywords]" else action)


def test_pages_read_the_same_for_every_goal() -> None:
    shop = shop_of(make_product())
    one, other = Session(shop, make_goal()), Session(shop, make_goal(text="x", attributes=("y",)))
    for action in (*ON_ITEM, "click[navy]", "click[features]", "click[< prev]", "click[buy now]"):
        assert one.step(action)[0] == other.step(action)[0]
    assert one.score != other.score


def test_the_history_is_all_pages_since_the_start() -> None:
    session = session_at()
    pages = [session.text()] + [session.step(action)[0] for action in ON_ITEM]
    assert history_text(pages) == f"{pages[0]}\n[PAGE] {pages[1]}\n[PAGE] {pages[2]}"
    assert history_texts(pages) == [history_text(pages[:end]) for end in (1, 2, 3)]
    assert history_text(pages[:1]) == pages[0]


def test_the_history_tells_the_whole_state() -> None:
    """Different states of a random walk have different histories."""
    shop, rng = small_shop(), np.random.default_rng(0)
    goal = generate_goals(small_catalogue(), "train", 1)[0]
    seen: dict[str, Page] = {}
    for _ in range(60):
        session = Session(shop, goal)
        pages = [session.text()]
        for _ in range(12):
            actions = session.valid_actions()
            if not actions:
                break
            action = actions[int(rng.integers(len(actions)))]
            if action == "search[keywords]":
                action = f"search[{WORDS[int(rng.integers(6))]}]"
            pages.append(session.step(action)[0])
            state = session.page._replace(keywords="", options=tuple(sorted(session.page.options)))
            assert seen.setdefault(history_text(pages), state) == state
    assert len(seen) > 300
