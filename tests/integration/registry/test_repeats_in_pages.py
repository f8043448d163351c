"""RegisterTokens: pages of rows of which some repeat what is stored."""

from nuncio.registry.v1 import token_pb2
from tests.integration.registry.repeating import Facts, exchanged, outcomes, register, said
from tests.integration.registry.running import Registry, timestamp

CREATED = token_pb2.REGISTRATION_OUTCOME_CREATED
REFRESHED = token_pb2.REGISTRATION_OUTCOME_REFRESHED
ROTATED = token_pb2.REGISTRATION_OUTCOME_ROTATED
REASSIGNED = token_pb2.REGISTRATION_OUTCOME_REASSIGNED
STALE = token_pb2.REGISTRATION_OUTCOME_STALE
REFUSED = token_pb2.REGISTRATION_OUTCOME_UNSPECIFIED


async def test_a_page_mixes_all_kinds_of_rows(registry: Registry) -> None:
    known = [said(registry, number) for number in range(1, 8)]
    await outcomes(registry, known)
    page = [
        known[0],
        said(registry, 2),
        said(registry, 11),
        said(registry, 3, platform=0),
        known[3],
        said(registry, 12, known[4].token.apns),
        said(registry, 6, known[5].token.apns, user_id="eve"),
        said(registry, 7, known[6].token.apns, observed_at=timestamp(registry.clock, seconds=-9)),
        said(registry, 13, facts=Facts(time_zone="Mars/Base")),
    ]
    expected = [
        REFRESHED, ROTATED, CREATED, REFUSED, REFRESHED, REASSIGNED, REFRESHED, STALE, REFUSED,
    ]  # fmt: skip
    (response,) = await exchanged(registry, page)
    assert list(response.outcomes) == expected
    assert [(error.row, error.field) for error in response.errors] == [
        (3, "platform"),
        (8, "facts.time_zone"),
    ]
    assert await registry.selected() == [1, 2, 3, 4, 6, 7, 11, 12]
    assert (await registry.installation(6)).user_id == "eve"


async def test_later_pages_of_a_stream_are_read_for_themselves(registry: Registry) -> None:
    """However a stream began: with repetitions, or with rows that nobody knew."""
    one, two = said(registry, 1, "aa"), said(registry, 1, "bb")
    other = said(registry, 1, "aa", user_id="eve")
    pages = [[one], [one], [two], [one], [other], [one], [one], [two]]
    answers = await outcomes(registry, *pages)
    assert [outcome for (outcome,) in answers] == [
        CREATED, REFRESHED, ROTATED, ROTATED, REFRESHED, REFRESHED, REFRESHED, ROTATED,
    ]  # fmt: skip
    assert (await registry.installation()).user_id == "ada"
    assert (await registry.pages())[0].page.tokens == [b"bb"]


async def test_rows_of_one_installation_count_in_their_order(registry: Registry) -> None:
    """Also when the later one repeats what is stored, and the one before does not."""
    one, two = said(registry, 1, "aa"), said(registry, 1, "bb", user_id="eve")
    await register(registry, one)
    assert await outcomes(registry, [two, one]) == [[ROTATED, ROTATED]]
    assert (await registry.pages())[0].page.tokens == [b"aa"]
    assert (await registry.installation()).user_id == "ada"


async def test_rows_of_one_token_count_in_their_order(registry: Registry) -> None:
    """Whoever comes last has it, also when it had it before the page. Case is no difference."""
    mine, theirs = said(registry, 1, "ab"), said(registry, 2, "AB")
    await register(registry, mine)
    assert await outcomes(registry, [theirs, mine]) == [[REASSIGNED, REASSIGNED]]
    assert await registry.selected() == [1]


async def test_an_installation_that_repeats_itself_twice_in_a_page_is_refreshed_twice(
    registry: Registry,
) -> None:
    row = said(registry)
    await register(registry, row)
    assert await outcomes(registry, [row, row]) == [[REFRESHED, REFRESHED]]


async def test_times_of_one_installation_count_in_their_order(registry: Registry) -> None:
    """The second one is not late when the first one is observed before it."""
    rows = []
    for seconds in (10, 20):
        row = said(registry, 1, "ab")
        row.observed_at.CopyFrom(timestamp(registry.clock, seconds=seconds))
        rows.append(row)
    await register(registry, said(registry, 1, "ab"))
    registry.clock.advance(60)
    assert await outcomes(registry, rows) == [[REFRESHED, REFRESHED]]
    assert await outcomes(registry, rows[::-1]) == [[REFRESHED, STALE]]
