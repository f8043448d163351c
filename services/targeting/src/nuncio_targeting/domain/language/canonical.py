"""The one way to write an expression: for logs, comparison and people."""

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
    Restriction,
    Text,
)

_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\t": r"\t", "\r": r"\r"})
# Whole numbers up to here are written without a fraction; floats hold all of them exactly.
_EXACT = 2**53


def canonical(expression: Expression) -> str:
    """Write the expression. What comes out says the same, and writes itself again the same way."""
    match expression:
        case And(operands):
            return " AND ".join(map(_grouped, operands))
        case Or(operands):
            return " OR ".join(map(_grouped, operands))
        case Not(operand):
            return f"NOT {_grouped(operand)}"
        case Restriction(member, ":", argument):
            return f"{member}:{_argument(argument)}"
        case Restriction(member, comparator, argument):
            return f"{member} {comparator} {_argument(argument)}"
        case Call():
            return _argument(expression)


def _grouped(operand: Expression) -> str:
    """With parentheses where they are needed."""
    return f"({canonical(operand)})" if isinstance(operand, And | Or) else canonical(operand)


def _argument(argument: Argument) -> str:
    match argument:
        case Text(value):
            return f'"{value.translate(_ESCAPED)}"'
        case Number(value):
            return str(int(value)) if value.is_integer() and abs(value) <= _EXACT else repr(value)
        case Flag(value):
            return "true" if value else "false"
        case Anything():
            return "*"
        case Member():
            return str(argument)
        case Call(name, arguments):
            return f"{name}({', '.join(map(_argument, arguments))})"
