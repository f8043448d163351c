"""How large an audience may be.

The registry takes predicates of 1,000 nodes, 40 deep. Two nodes and one level are kept back: who is
to be tried again is asked for with a list of installations beside the audience's own condition.
"""

from typing import Final

from nuncio_targeting.domain.errors import AudienceTooLarge

MAX_CHARACTERS: Final = 20_000
MAX_DEPTH: Final = 39
MAX_NODES: Final = 998
MAX_VALUES: Final = 10_000
MAX_SEGMENT_DEPTH: Final = 10
# Room for the values of many lists, and a bound to what one call can make us read.
MAX_SEGMENT_CHARACTERS: Final = 500_000


def keep_within(limit: str, allowed: int, *, found: int) -> None:
    """Raise AudienceTooLarge when more is found than is allowed.

    Readers call it as they go and stop at the first thing too many, so `found` is what was counted
    until then.
    """
    if found > allowed:
        raise AudienceTooLarge(limit=limit, allowed=allowed, found=found)
