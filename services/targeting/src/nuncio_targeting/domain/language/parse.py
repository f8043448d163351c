"""From text to tree, by the grammar beside this file."""

import math
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedToken

from nuncio_targeting.domain.errors import AudienceInvalid, Problem
from nuncio_targeting.domain.language.ast import (
    And,
    Anything,
    Argument,
    Call,
    Expression,
    Flag,
    Member,
    Not,
    Number,
    Or,
    Place,
    Restriction,
    Text,
)
from nuncio_targeting.domain.language.limits import MAX_CHARACTERS, MAX_DEPTH, keep_within
from nuncio_targeting.domain.language.syntax import syntax_problem

ESCAPES: Final = {"\\": "\\", '"': '"', "'": "'", "n": "\n", "t": "\t", "r": "\r"}

_SPECIAL: Final = re.compile(r"\\(.)|\0", re.DOTALL)


def parse(text: str) -> Expression:
    """Read an expression. Raises AudienceInvalid, and AudienceTooLarge before reading too much."""
    keep_within("characters", MAX_CHARACTERS, found=len(text))
    try:
        # With a transformer, lark gives its result instead of a tree.
        expression: Expression = _parser().parse(text)  # type: ignore[assignment]
    except (UnexpectedToken, UnexpectedCharacters) as error:
        raise AudienceInvalid(syntax_problem(text, error)) from None
    return expression


class _Nesting:
    """Counts parentheses on their way to the parser, so that no tree gets too deep to walk."""

    always_accept = ()

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        depth = 0
        for token in stream:
            depth += (token.type == "LPAR") - (token.type == "RPAR")
            keep_within("levels", MAX_DEPTH, found=depth)
            yield token


class _Tree(Transformer[Token, Expression]):
    """Builds the tree from the leaves up while the parser reads. One method per grammar rule."""

    def conjunction(self, operands: list[Expression]) -> And:
        return And(tuple(_flat(And, operands)))

    def disjunction(self, operands: list[Expression]) -> Or:
        return Or(tuple(_flat(Or, operands)))

    def negation(self, operands: list[Expression]) -> Expression:
        (operand,) = operands
        return operand.operand if isinstance(operand, Not) else Not(operand)

    def restriction(self, parts: list[Any]) -> Restriction:
        member, comparator, argument = parts
        return Restriction(member, str(comparator), argument, _place(comparator))

    def call(self, parts: list[Any]) -> Call:
        name, *arguments = parts
        given: tuple[Argument, ...] = tuple(part for part in arguments if part is not None)
        return Call(str(name), given, _place(name))

    def member(self, names: list[Token]) -> Member:
        return Member(tuple(str(name) for name in names), _place(names[0]))

    def text(self, tokens: list[Token]) -> Text:
        return Text(_unquoted(tokens[0]), _place(tokens[0]))

    def number(self, tokens: list[Token]) -> Number:
        value = float(tokens[0])
        if not math.isfinite(value):
            raise _wrong(tokens[0], 0, "the number is too large", "a number of 64 bits")
        return Number(value, _place(tokens[0]))

    def flag(self, tokens: list[Token]) -> Flag:
        return Flag(tokens[0].type == "TRUE", _place(tokens[0]))

    def anything(self, tokens: list[Token]) -> Anything:
        return Anything(_place(tokens[0]))


@cache
def _parser() -> Lark:
    return Lark.open(
        "grammar.lark",
        rel_to=__file__,
        parser="lalr",
        postlex=_Nesting(),
        transformer=_Tree(),
    )


def _flat(kind: type[And] | type[Or], operands: list[Expression]) -> Iterator[Expression]:
    for operand in operands:
        if isinstance(operand, kind):
            yield from operand.operands
        else:
            yield operand


def _place(token: Token) -> Place:
    # lark fills these in for every token that it reads from a text.
    return Place(token.start_pos or 0, token.line or 1, token.column or 1)


def _unquoted(token: Token) -> str:
    def plain(match: re.Match[str]) -> str:
        if match[0] == "\0":
            raise _wrong(token, match.start() + 1, "a text cannot hold this character", "no NUL")
        if match[1] not in ESCAPES:
            expected = r"one of \\ \" \' \n \t \r"
            raise _wrong(token, match.start() + 1, "there is no such escape", expected)
        return ESCAPES[match[1]]

    return _SPECIAL.sub(plain, token[1:-1])


def _wrong(token: Token, offset: int, message: str, expected: str) -> AudienceInvalid:
    """The error for a character inside a token."""
    place, before = _place(token), token[:offset]
    lines = before.count("\n")
    column = len(before) - before.rfind("\n") if lines else place.column + offset
    return AudienceInvalid(
        Problem(message, expected, place.position + offset, place.line + lines, column)
    )
