"""Adds the groups of a walk up to an app's stock, in bounded memory."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, NamedTuple, TypeVar

from nuncio_registry.domain.model import ConsentState, Platform, TokenState
from nuncio_registry.domain.ports.hygiene import Fate, Group
from nuncio_registry.domain.ports.statistics import Answers, OptIns, Prompts, Stock

K = TypeVar("K")

SHOWN_VERSIONS: Final = 100
SHOWN_PROMPTS: Final = 100

# Clients choose these words, so there may be any number. Beyond this many the rarer half is let go
# of and counts as not told; what is shown, the most frequent, is exact below it.
KEPT_WORDS: Final = 10_000


class _Version(NamedTuple):
    platform: Platform
    app_version: str


class _Prompt(NamedTuple):
    purpose: str
    prompt_strategy: str


class Tally:
    """Counts installations as they are once the policies were carried out."""

    def __init__(self) -> None:
        self._states: Counter[TokenState] = Counter()
        self._stale = 0
        self._active: Counter[_Version] = Counter()
        self._permitted: Counter[_Version] = Counter()
        self._granted: Counter[_Prompt] = Counter()
        self._denied: Counter[_Prompt] = Counter()
        self._users: Counter[int] = Counter()

    def add(self, groups: Iterable[Group]) -> None:
        """Count installations."""
        for group in groups:
            if group.fate == Fate.DELETING:
                continue
            expires = group.fate == Fate.EXPIRING
            state = TokenState.EXPIRED if expires else group.token_state
            self._states[state] += group.installations
            if state == TokenState.ACTIVE:
                self._stale += group.installations * group.stale
                version = _Version(group.platform, group.app_version)
                self._active[version] += group.installations
                self._permitted[version] += group.installations * group.permitted
        if len(self._active) > KEPT_WORDS:
            self._let_go_of_versions()

    def answer(self, answers: Iterable[Answers]) -> None:
        """Count what people said."""
        for one in answers:
            said = self._granted if one.state == ConsentState.GRANTED else self._denied
            said[_Prompt(one.purpose, one.prompt_strategy)] += one.installations
        asked = self._granted + self._denied
        if len(asked) > KEPT_WORDS:
            for prompt in _rare(asked):
                self._granted.pop(prompt, None)
                self._denied.pop(prompt, None)

    def add_users(self, by_number: Mapping[int, int]) -> None:
        """Count users; those without a live installation are none."""
        self._users.update({number: users for number, users in by_number.items() if number})

    def stock(self, counted_at: datetime) -> Stock:
        """Everything so far."""
        return Stock(
            counted_at=counted_at,
            installations=self._states.total(),
            active=self._states[TokenState.ACTIVE],
            invalid=self._states[TokenState.INVALID],
            expired=self._states[TokenState.EXPIRED],
            replaced=self._states[TokenState.REPLACED],
            stale=self._stale,
            opt_ins=self._opt_ins(),
            prompts=self._prompts(),
            users=dict(sorted(self._users.items())),
        )

    def _opt_ins(self) -> list[OptIns]:
        """The most frequent versions; the others of a platform are together, as not told."""
        shown = {version for version, _ in self._active.most_common(SHOWN_VERSIONS)}
        active, permitted = Counter[_Version](), Counter[_Version]()
        for version, count in self._active.items():
            under = version if version in shown else version._replace(app_version="")
            active[under] += count
            permitted[under] += self._permitted[version]
        return [OptIns(*version, active[version], permitted[version]) for version in sorted(active)]

    def _prompts(self) -> list[Prompts]:
        asked = self._granted + self._denied
        shown = sorted(prompt for prompt, _ in asked.most_common(SHOWN_PROMPTS))
        return [Prompts(*prompt, self._granted[prompt], self._denied[prompt]) for prompt in shown]

    def _let_go_of_versions(self) -> None:
        for version in _rare(self._active):
            if version.app_version:
                others = version._replace(app_version="")
                self._active[others] += self._active.pop(version)
                self._permitted[others] += self._permitted.pop(version, 0)


def _rare(counts: Counter[K]) -> list[K]:
    """The rarer ones, so many that half of what may be kept is left."""
    return [word for word, _ in counts.most_common()[KEPT_WORDS // 2 :]]
