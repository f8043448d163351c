"""Conditions on topics: 'a' in topics && ('b' in topics || !('c' in topics)).

Source: Firebase, "Send messages to topics".
"""

import re
from typing import Final

TOPICS: Final = 5
DEPTH: Final = 32  # parentheses inside one another, far more than five topics need
PART: Final = re.compile(r"\s*(?:('[a-zA-Z0-9\-_.~%]{1,900}')\s+in\s+topics\b|(&&|\|\||!|\(|\)))")


def is_condition(text: str) -> bool:
    """Whether FCM can read the condition, and it names one to five topics."""
    parts = _parts(text)
    if parts is None or not 1 <= parts.count("t") <= TOPICS:
        return False
    depth, wants_operand = 0, True
    for part in parts:
        if wants_operand != (part in {"t", "(", "!"}):
            return False
        depth += (part == "(") - (part == ")")
        if not 0 <= depth <= DEPTH:
            return False
        wants_operand = part not in {"t", ")"}
    return depth == 0 and not wants_operand


def _parts(text: str) -> list[str] | None:
    """Operators, parentheses, and "t" for each topic; None for anything else."""
    parts, position, text = [], 0, text.rstrip()
    while position < len(text):
        match = PART.match(text, position)
        if match is None:
            return None
        parts.append("t" if match[1] else match[2])
        position = match.end()
    return parts
