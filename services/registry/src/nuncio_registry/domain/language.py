"""Language tags: which there are, and one spelling of each, so that equal ones compare equal."""

from functools import lru_cache

import langcodes

# Few tags are in use, and each registration brings one.
_KEPT = 1000


@lru_cache(_KEPT)
def canonical_language(tag: str) -> str:
    """A BCP 47 tag in canonical case with dashes: "pt_br" is "pt-BR", "ZH-hant" is "zh-Hant".

    Source: RFC 5646, section 2.1.1.
    """
    first, *rest = tag.replace("_", "-").split("-")
    return "-".join([first.lower(), *map(_canonical_subtag, rest)])


@lru_cache(_KEPT)
def is_language(tag: str) -> bool:
    """Whether the tag is made of registered subtags. Source: RFC 5646, section 2.2.9 ("valid")."""
    return langcodes.tag_is_valid(tag)


def _canonical_subtag(subtag: str) -> str:
    match len(subtag):
        case 2:
            return subtag.upper()
        case 4:
            return subtag.title()
        case _:
            return subtag.lower()
