"""Language tags: which there are, and one spelling of each, so that equal ones compare equal."""

from functools import lru_cache
from itertools import takewhile

import langcodes

# Few tags are in use, and each registration brings one.
_KEPT = 1000


@lru_cache(_KEPT)
def canonical_language(tag: str) -> str:
    """A BCP 47 tag in canonical case with dashes: "pt_br" is "pt-BR", "ZH-hant" is "zh-Hant".

    Without extensions and private use, which say how to show numbers and dates, not what to read:
    "en-US-u-mu-celsius" is "en-US". Source: RFC 5646, sections 2.1.1, 2.2.6 and 2.2.7.
    """
    first, *rest = tag.replace("_", "-").split("-")
    subtags = takewhile(_is_no_singleton, rest)
    return "-".join([first.lower(), *map(_canonical_subtag, subtags)])


@lru_cache(_KEPT)
def is_language(tag: str) -> bool:
    """Whether the tag is made of registered subtags. Source: RFC 5646, section 2.2.9 ("valid")."""
    return langcodes.tag_is_valid(tag)


def _is_no_singleton(subtag: str) -> bool:
    """A subtag of one character begins an extension, or private use."""
    return len(subtag) != 1


def _canonical_subtag(subtag: str) -> str:
    match len(subtag):
        case 2:
            return subtag.upper()
        case 4:
            return subtag.title()
        case _:
            return subtag.lower()
