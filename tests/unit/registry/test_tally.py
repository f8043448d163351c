"""The stock of an app, added up from groups."""

from collections.abc import Sequence

from nuncio_registry.domain.model import ConsentState, Platform, TokenState
from nuncio_registry.domain.ports.hygiene import Fate, Group
from nuncio_registry.domain.ports.statistics import Answers, OptIns, Prompts
from nuncio_registry.domain.tally import KEPT_WORDS, SHOWN_PROMPTS, SHOWN_VERSIONS, Tally
from tests.unit.registry.builders import NOW

ACTIVE, INVALID, EXPIRED, REPLACED = TokenState
IOS, ANDROID = Platform.IOS, Platform.ANDROID
GRANTED, DENIED = ConsentState


def group(
    installations: int = 1,
    *,
    state: TokenState = ACTIVE,
    platform: Platform = IOS,
    app_version: str = "1.0",
    permitted: bool = True,
    stale: bool = False,
    fate: Fate = Fate.KEPT,
) -> Group:
    return Group(platform, state, app_version, permitted, stale, fate, installations, ())


def tally_of(groups: Sequence[Group]) -> Tally:
    tally = Tally()
    tally.add(groups)
    return tally


def test_the_stock_is_as_the_policies_leave_it() -> None:
    stock = tally_of(
        [
            group(5),
            group(3, stale=True),
            group(2, stale=True, fate=Fate.EXPIRING),
            group(1, state=EXPIRED),
            group(4, state=INVALID),
            group(7, state=REPLACED),
            group(6, state=INVALID, fate=Fate.DELETING),
        ]
    ).stock(NOW)
    assert (stock.installations, stock.active, stock.stale) == (22, 8, 3)
    assert (stock.expired, stock.invalid, stock.replaced) == (3, 4, 7)
    assert stock.counted_at == NOW


def test_opt_ins_are_of_live_tokens_by_platform_and_version() -> None:
    stock = tally_of(
        [
            group(3),
            group(1, permitted=False),
            group(2, platform=ANDROID),
            group(9, state=INVALID),
        ]
    ).stock(NOW)
    assert stock.opt_ins == [OptIns(IOS, "1.0", 4, 3), OptIns(ANDROID, "1.0", 2, 2)]


def test_rare_versions_are_shown_together() -> None:
    often = [group(2, app_version=f"1.{n}") for n in range(SHOWN_VERSIONS)]
    stock = tally_of([*often, group(app_version="2.0"), group(app_version="2.1")]).stock(NOW)
    assert len(stock.opt_ins) == SHOWN_VERSIONS + 1
    assert stock.opt_ins[0] == OptIns(IOS, "", 2, 2)


def test_words_of_clients_do_not_fill_the_memory() -> None:
    tally = Tally()
    for part in range(4):
        words = [f"{part}.{n}" for n in range(KEPT_WORDS)]
        tally.add([group(app_version=word) for word in words])
        tally.answer([Answers("news", word, GRANTED, 1) for word in words])
        assert len(tally._active) <= KEPT_WORDS
        assert len(tally._granted) <= KEPT_WORDS
    stock = tally.stock(NOW)
    assert sum(each.active for each in stock.opt_ins) == stock.active == 4 * KEPT_WORDS
    assert len(stock.prompts) == SHOWN_PROMPTS


def test_prompts_are_by_purpose_and_strategy() -> None:
    tally = Tally()
    tally.answer([Answers("news", "banner", GRANTED, 2), Answers("news", "", DENIED, 1)])
    tally.answer([Answers("news", "banner", DENIED, 1), Answers("ads", "banner", DENIED, 5)])
    assert tally.stock(NOW).prompts == [
        Prompts("ads", "banner", 0, 5),
        Prompts("news", "", 0, 1),
        Prompts("news", "banner", 2, 1),
    ]


def test_users_without_a_live_installation_do_not_count() -> None:
    tally = Tally()
    tally.add_users({0: 7, 1: 3})
    tally.add_users({1: 1, 5: 2})
    assert tally.stock(NOW).users == {1: 4, 5: 2}
