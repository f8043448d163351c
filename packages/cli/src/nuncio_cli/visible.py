"""Text from elsewhere on a terminal: its control characters are shown, and not obeyed."""

import re
from typing import Final

_NAMED: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
# What moves the cursor, sets colours or breaks a line (C0, DEL, C1, the separators of lines and
# paragraphs), and what turns text around (embeddings, overrides and isolates of Unicode's
# bidirectional algorithm, UAX #9).
_OBEYED: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    r"""The text on one line: escapes such as \n, \x1b and \u202e for what a terminal obeys.

    For people: a backslash stays one, so that the text cannot be told back from it.
    """
    return _OBEYED.sub(lambda found: _escape(found[0]), text)


def _escape(character: str) -> str:
    code = ord(character)
    return _NAMED.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
