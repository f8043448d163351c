"""Ids as they come over the wire."""

import copy
from uuid import UUID

import pytest

from nuncio_runtime.ids import uuid_of

TEXTS = [
    "eb7fec92-6c93-4d1a-8951-d454e14e939a",
    "EB7FEC92-6C93-4D1A-8951-D454E14E939A",
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
]


@pytest.mark.parametrize("text", [*TEXTS, TEXTS[0].replace("-", "")])
def test_an_id_is_a_uuid_like_any_other(text: str) -> None:
    mine, usual = uuid_of(text), UUID(text)
    assert isinstance(mine, UUID)
    assert mine == usual
    assert usual == mine
    assert hash(mine) == hash(usual)
    assert (str(mine), repr(mine), f"{mine}") == (str(usual), repr(usual), f"{usual}")
    assert (mine.int, mine.bytes, mine.hex) == (usual.int, usual.bytes, usual.hex)
    assert copy.deepcopy(mine) == usual


def test_ids_are_found_among_others() -> None:
    mine, usual = {uuid_of(text) for text in TEXTS}, {UUID(text) for text in TEXTS}
    assert mine == usual
    assert len(mine | usual) == len(TEXTS) - 1


def test_ids_sort_among_others() -> None:
    mixed = [uuid_of(TEXTS[0]), UUID(TEXTS[3]), uuid_of(TEXTS[3]), UUID(TEXTS[2]), UUID(TEXTS[0])]
    assert sorted(mixed) == sorted(UUID(str(id_)) for id_ in mixed)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        TEXTS[0][:-1],
        f"{TEXTS[0]}0",
        f"{TEXTS[0]}\n",
        f" {TEXTS[0]}",
        f"{{{TEXTS[0]}}}",
        f"urn:uuid:{TEXTS[0]}",
        TEXTS[0].replace("e", "g"),
        TEXTS[0].replace("e", "é"),
        TEXTS[0].replace("-", "_"),
        "\u0660" * 32,
    ],
)
def test_other_texts_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="UUID"):
        uuid_of(text)
