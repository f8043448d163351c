"""What to say about a text that the grammar does not allow."""

from collections.abc import Collection
from typing import Final, TypeAlias, cast

from lark import UnexpectedCharacters, UnexpectedToken

from nuncio_targeting.domain.errors import Problem

SyntaxFault: TypeAlias = UnexpectedToken | UnexpectedCharacters

# What could stand there, by a terminal that tells the situation; the first that applies is said.
_EXPECTATIONS: Final = (
    ("STRING", 'a value: "text", a number, true, false, * or a function such as ago("30d")'),
    ("_NOT", "a field, a function, NOT or ("),
    ("COMPARATOR", "a comparison: =, !=, <, <=, >, >= or :"),
    ("_AND", "AND, OR or the end"),
    ("_OR", "AND, OR or the end"),
    ("COMMA", ", or )"),
    ("RPAR", ")"),
    ("IDENTIFIER", "a name"),
)
_OTHER_WORD: Final = {"_AND": "_OR", "_OR": "_AND"}
_END: Final = "$END"
_SHOWN_CHARACTERS: Final = 40


def syntax_problem(text: str, error: SyntaxFault) -> Problem:
    """Say what is wrong, where, and what would be right."""
    message, expected = _explain(text, error)
    position = _position(text, error)
    before = text[:position]
    return Problem(
        message,
        expected,
        position,
        line=before.count("\n") + 1,
        column=position - before.rfind("\n"),
    )


def _position(text: str, error: SyntaxFault) -> int:
    if isinstance(error, UnexpectedCharacters):
        return cast("int", error.pos_in_stream)  # Typed None where lark declares it.
    # lark puts the end where the last token stands.
    return len(text) if error.token.type == _END else error.token.start_pos or 0


def _explain(text: str, error: SyntaxFault) -> tuple[str, str]:
    if isinstance(error, UnexpectedCharacters):
        return _explain_character(error)
    # Exact where the parser stopped; the other where its lexer did.
    accepted = error.accepts or error.expected
    expected = _expected(accepted)
    if error.token.type == _END:
        return ("the expression ends too early" if text.strip() else "it is empty"), expected
    if _OTHER_WORD.get(error.token.type) in accepted:
        return "AND and OR are mixed", "parentheses, such as a AND (b OR c)"
    if error.token.type == "IDENTIFIER" and error.token.upper() in ("AND", "OR", "NOT"):
        return f'"{error.token}" is not in capitals', error.token.upper()
    shown = error.token[:_SHOWN_CHARACTERS]
    if error.token.type != "STRING":
        shown = f'"{shown}"'
    return f"{shown} cannot stand here", expected


def _explain_character(error: UnexpectedCharacters) -> tuple[str, str]:
    if error.char in "\"'":
        return "the text is not closed", f"another {error.char}"
    return f'"{error.char}" cannot stand here', _expected(error.allowed or ())


def _expected(accepted: Collection[str]) -> str:
    return next((words for terminal, words in _EXPECTATIONS if terminal in accepted), "the end")
