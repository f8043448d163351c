"""JSON Merge Patch, by the examples of RFC 7396, appendix A, whose target is an object."""

from typing import Any

import pytest

from nuncio_dispatcher.providers.patch import child, merged


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": "foo"}, {"a": {"b": 1, "c": None}}, {"a": {"b": 1}}),
    ],
)
def test_a_patch_is_laid_over_as_the_rfc_has_it(
    target: dict[str, Any], patch: dict[str, Any], result: dict[str, Any]
) -> None:
    assert merged(target, patch) == result


def test_neither_target_nor_patch_is_changed() -> None:
    target, patch = {"a": {"b": 1}}, {"a": {"c": {"d": 2}}}
    result = merged(target, patch)
    result["a"]["c"]["d"] = 3
    assert (target, patch) == ({"a": {"b": 1}}, {"a": {"c": {"d": 2}}})


def test_what_is_no_object_has_no_children() -> None:
    assert child({"a": [1]}, "a") == {}
    assert child({}, "a") == {}
