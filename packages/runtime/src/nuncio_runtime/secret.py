"""Values that cannot be printed by accident."""

import hashlib
import hmac
from typing import Generic, Never, TypeVar

T = TypeVar("T", str, bytes)


class Secret(Generic[T]):
    """A value that shows itself only to those who ask with `reveal`.

    repr, str and format give `ClassName(sha256:1f9c2b07…)`, a fingerprint that is the same for
    equal values, so that log lines can be matched. Comparison takes constant time. A secret
    refuses to be pickled. Subclass it to name what is kept.
    """

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value: T = value

    def reveal(self) -> T:
        """The value itself. Each call is a place to review."""
        return self._value

    @property
    def fingerprint(self) -> str:
        """`sha256:` and the first eight hexadecimal digits of the value's SHA-256."""
        return f"sha256:{hashlib.sha256(self._bytes()).hexdigest()[:8]}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.fingerprint}…)"

    def __str__(self) -> str:
        return repr(self)

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return type(self) is type(other) and hmac.compare_digest(self._bytes(), other._bytes())

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> Never:
        message = f"{type(self).__name__} refuses to be pickled"
        raise TypeError(message)

    def _bytes(self) -> bytes:
        value: str | bytes = self._value
        return value.encode() if isinstance(value, str) else value
