"""The contracts' rules in words, where the validator's own are for programmers.

tests/unit/runtime/test_wording.py finds every pattern of the contracts here.
"""

from collections.abc import Mapping
from typing import Final

PATTERNS: Final[Mapping[str, str]] = {
    r"^([0-9A-Fa-f]{2}){1,200}$": "must be hexadecimal digits, an even number of them, 2 to 400",
    r"^([a-z0-9][a-z0-9_-]{0,63})?$": (
        "must be empty, or 1 to 64 lower-case letters, digits, dashes and underscores, the first "
        "of them a letter or digit"
    ),
    r"^[a-z0-9][a-z0-9_-]{0,63}$": (
        "must be 1 to 64 lower-case letters, digits, dashes and underscores, the first of them a "
        "letter or digit"
    ),
    r"^(https://.*)?$": "must be empty, or begin with https://",
    r"^[!-~]{0,64}$": "must be at most 64 characters of ASCII without spaces",
    r"^[0-9]{1,9}(\.[0-9]{1,9}){0,5}$": 'must be up to six numbers with dots, such as "2.3.1"',
    r"^[0-9]{1,9}(\.[0-9]{1,9}){0,5}([-+][A-Za-z0-9.+-]{0,40})?$": (
        'must be up to six numbers with dots, such as "2.3.1", and any suffix after a dash or plus'
    ),
    r"^[A-Z]{2}$": 'must be two capital letters (ISO 3166-1), such as "CH"',
    r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}"
    r"([-_][A-Za-z0-9]([-_][A-Za-z0-9]{1,8}){1,20})?$": (
        'must be a language tag (BCP 47), such as "de" or "pt-BR"'
    ),
    r"^[A-Za-z_][A-Za-z0-9_]{0,63}$": (
        "must be a name of 1 to 64 letters, digits and underscores that begins with no digit"
    ),
    r"^[A-Za-z0-9+/=_-]{1,200}$": "must be 1 to 200 characters of base64",
    r"^[A-Za-z0-9_-]{1,200}$": "must be 1 to 200 characters of base64url",
    r"^[A-Za-z0-9.-]{0,255}$": "must be at most 255 letters, digits, dots and dashes",
    r"^[A-Za-z0-9._-]{1,64}$": "must be 1 to 64 letters, digits, dots, dashes and underscores",
    r"^[A-Za-z0-9._:/-]{1,100}$": (
        "must be 1 to 100 letters, digits, dots, dashes, slashes, colons and underscores"
    ),
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$": (
        "must be 1 to 128 letters, digits, dots, dashes and underscores, the first of them a "
        "letter or digit"
    ),
    r"^[A-Za-z0-9_-]{0,32}$": "must be at most 32 characters of base64url",
    r"^[A-Za-z0-9_:.~%-]+$": (
        "must be letters, digits, underscores, dashes, colons, dots, tildes and percent signs"
    ),
    r"^[a-zA-Z0-9_.~%-]{1,900}$": (
        "must be 1 to 900 letters, digits, underscores, dashes, dots, tildes and percent signs"
    ),
}


def in_words(rule_id: str, rule_value: object, otherwise: str) -> str:
    """What the rule asks for.

    rule_id, rule_value: of the annotation, such as string.min_len and 1; otherwise: the validator's
    words.
    """
    match rule_id, rule_value:
        case _, str(pattern) if pattern in PATTERNS:
            return PATTERNS[pattern]
        case "string.min_len" | "repeated.min_items", 1:
            return "must not be empty"
        case "enum.not_in", [0]:
            return "must be set"
        case "enum.defined_only", _:
            return "must be a value that the contract names"
        case "string.prefix", str(prefix):
            return f'must begin with "{prefix}"'
        case "bytes.prefix", bytes(prefix):
            return f"must begin with the bytes 0x{prefix.hex()}"
        case "required", _:
            return (
                "exactly one of its fields must be set" if "oneof" in otherwise else "must be set"
            )
        case _:
            return otherwise
