"""Looks at messages, written as Python and compiled: the quickest way to ask one many questions.

Hot path: every message of every call. Benchmark: `nuncio bench register`, `nuncio bench bulk`. What
is written for a Registration begins like this; `_6` and its like were made before:

    def look(m):
     v = m.installation_id
     if not ('\\0' not in v and '\\n' not in v and _6(v) is not None): return False
     v = m.facts if has(m, 'facts') else None
     if v is not None and not (_8(v)): return False
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import Descriptor
from google.protobuf.message_factory import GetMessageClass

# Whether a value surely keeps its rules.
Look: TypeAlias = Callable[[Any], bool]
# The same as an expression that speaks of the value as `v`; empty when every value will do.
Test: TypeAlias = str

_KEPT: Final = 10_000  # Texts, of each rule.
_SHORT: Final = 30


class Source:
    """Compiles what is written for one message type, and knows what its names stand for.

    `has(m, field)` and `which(m, oneof)` ask the message `m` itself.
    """

    def __init__(self, descriptor: Descriptor) -> None:
        message: Any = GetMessageClass(descriptor)
        self._things: dict[str, Any] = {
            # Asked for by `m.HasField`, a message first looks for a field of that name.
            "has": message.HasField,
            "which": message.WhichOneof,
            "isfinite": math.isfinite,
            # As Python writes them.
            "inf": math.inf,
            "nan": math.nan,
        }
        self._known: dict[Test, str] = {}

    def name(self, thing: object) -> str:
        """A name for it."""
        name = f"_{len(self._things)}"
        self._things[name] = thing
        return name

    def look(self, lines: Iterable[str]) -> Look:
        """The look at a message `m`. Each line may return False."""
        made: dict[str, Look] = {}
        source = "\n ".join(["def look(m):", *lines, "return True"])
        exec(source, self._things, made)  # noqa: S102 - all of it is ours: code and contracts
        return made["look"]

    def kept(self, test: Test) -> Test:
        """The test of a text, with a memory for short ones that pass.

        Versions, languages and topics are short and few, and looking them up is faster. Ids and
        tokens are longer: these are many, or secret, and are not kept.
        """
        known: set[str] = set()
        look = self._function(test)

        def learn(text: str) -> bool:
            if not look(text):
                return False
            if len(known) >= _KEPT:
                known.clear()
            known.add(text)
            return True

        name = self.name(known)
        kept = f"(v in {name} or {self.name(learn)}(v) if len(v) <= {_SHORT} else {test})"
        self._known[kept] = name
        return kept

    def every(self, test: Test, values: str) -> Test:
        """A test of all the values that the expression gives."""
        known, look = self._known.get(test), test.removesuffix("(v)")
        if look not in self._things:
            look = self.name(self._function(test))
        each = f"all(map({look}, {values}))"
        return f"({known}.issuperset({values}) or {each})" if known else each

    def _function(self, test: Test) -> Look:
        made: Look = eval(f"lambda v: {test}", self._things)  # noqa: S307 - as above
        return made
