"""The rules of a page that the contract's annotations cannot state."""

from collections.abc import Iterator, Sequence
from typing import Final

from nuncio_feedback.domain.model import OutcomePage, Verdict
from nuncio_feedback.domain.policy import ID_BYTES, INVALIDATING
from nuncio_runtime.errors import FieldViolation, InvalidField

# RETRY and MISCONFIGURED are never final: such rows are sent again and reported then.
FINAL: Final = frozenset(Verdict) - {Verdict.RETRY, Verdict.MISCONFIGURED}
LONGEST_REASON: Final = 100  # characters; what the registry takes
LATEST: Final = 253_402_300_799_999_999  # microseconds: the end of the year 9999


def check(page: OutcomePage) -> None:
    """Raise InvalidField with every rule that the page breaks."""
    broken = list(_lengths(page)) or list(_values(page))
    if broken:
        raise InvalidField(*broken)


def _lengths(page: OutcomePage) -> Iterator[FieldViolation]:
    columns: list[tuple[str, Sequence[object], int]] = [
        ("installation_ids", page.installation_ids, ID_BYTES),
        ("token_refs", page.token_refs, ID_BYTES),
        ("platforms", page.platforms, 1),
        ("providers", page.providers, 1),
        ("verdicts", page.verdicts, 1),
        ("reasons", page.reasons, 1),
        ("sent_at", page.sent_at, 1),
        ("dead_since", page.dead_since, 1),
    ]
    if page.lanes:
        columns.append(("lanes", page.lanes, 1))
    for name, column, width in columns:
        if len(column) != width * page.count:
            unit = "bytes per row" if width == ID_BYTES else "per row"
            yield _broken(name, f"must have {width} {unit}, and count says {page.count} rows")


def _values(page: OutcomePage) -> Iterator[FieldViolation]:
    """Rules of the values in columns of the right length."""
    for name, enum in (("platforms", page.platforms), ("providers", page.providers)):
        if 0 in enum:
            yield _broken(name, "must not be UNSPECIFIED")
    if not FINAL.issuperset(page.verdicts):
        yield _broken("verdicts", f"must be final: {', '.join(v.name for v in sorted(FINAL))}")
    if any(len(name) > LONGEST_REASON for name in page.reason_names):
        yield _broken("reason_names", f"must have at most {LONGEST_REASON} characters each")
    yield from _reasons(page)
    if max(page.lanes, default=-1) >= len(page.lane_names):
        yield _broken("lanes", "must be indexes of lane_names")
    for name, times in (("sent_at", page.sent_at), ("dead_since", page.dead_since)):
        if times and not 0 <= min(times) <= max(times) <= LATEST:
            yield _broken(name, "must be 0, or microseconds since 1970 up to the year 9999")


def _reasons(page: OutcomePage) -> Iterator[FieldViolation]:
    if max(page.reasons, default=-1) >= len(page.reason_names):
        yield _broken("reasons", "must be indexes of reason_names")
    elif any(
        verdict in INVALIDATING and not page.reason_names[reason]
        for verdict, reason in zip(page.verdicts, page.reasons, strict=True)
    ):
        yield _broken("reasons", "must name a reason where the verdict is TOKEN_DEAD")


def _broken(column: str, rule: str) -> FieldViolation:
    return FieldViolation(f"page.{column}", rule)
