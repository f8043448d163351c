"""Secrets are not shown by accident."""

import copy
import pickle

import pytest

from nuncio_runtime.secret import Secret


class DoorCode(Secret[str]):
    """What opens the door."""


@pytest.mark.parametrize(
    "shown", [repr, str, lambda s: f"{s}", lambda s: f"{s:>60}", "{!r}".format]
)
def test_no_way_of_printing_shows_the_value(shown: object) -> None:
    assert callable(shown)
    text = shown(DoorCode("open sesame"))
    assert "sesame" not in text
    assert text.strip() == "DoorCode(sha256:41ef4bb0…)"


def test_only_reveal_gives_the_value() -> None:
    assert DoorCode("open sesame").reveal() == "open sesame"
    assert Secret(b"\x00\x01").reveal() == b"\x00\x01"


def test_equal_values_of_one_type_are_equal() -> None:
    assert DoorCode("a") == DoorCode("a")
    assert hash(DoorCode("a")) == hash(DoorCode("a"))
    assert DoorCode("a") != DoorCode("b")
    assert DoorCode("a") != Secret("a")
    assert DoorCode("a") != "a"


def test_a_secret_is_neither_pickled_nor_copied() -> None:
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(DoorCode("a"))
    with pytest.raises(TypeError, match="pickled"):
        copy.deepcopy(DoorCode("a"))
