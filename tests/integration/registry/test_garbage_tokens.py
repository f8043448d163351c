"""Page tokens, cursors and positions that no answer gave: INVALID_ARGUMENT naming the field."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from nuncio.registry.v1 import predicate_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_registry.domain.feed import position_text
from nuncio_registry.domain.ports.feed import Position
from nuncio_runtime.client import RemoteError
from nuncio_runtime.errors import Kind
from nuncio_runtime.paging import digest_of, encode_page_token
from tests.integration.registry.running import Registry
from tests.unit.registry.builders import APP, key

Answer = Callable[[Registry, str], Awaitable[Any]]

# Each list with the digest of its filter, as anybody may read in the source.
LISTS: dict[str, tuple[bytes, Answer]] = {
    "ListApps": (
        b"apps",
        lambda r, token: r.stub.ListApps(pb.ListAppsRequest(page_token=token)),
    ),
    "ListInstallations": (
        digest_of(b"installations", APP.encode(), b""),
        lambda r, token: r.stub.ListInstallations(
            pb.ListInstallationsRequest(app_id=APP, page_token=token)
        ),
    ),
    "ListConsentEvents": (
        digest_of(b"consent events", APP.encode(), key(1).bytes),
        lambda r, token: r.stub.ListConsentEvents(
            pb.ListConsentEventsRequest(app_id=APP, installation_id=str(key(1)), page_token=token)
        ),
    ),
    "ListErasures": (
        digest_of(b"erasures", APP.encode(), b""),
        lambda r, token: r.stub.ListErasures(pb.ListErasuresRequest(app_id=APP, page_token=token)),
    ),
    "ListAuditEvents": (
        digest_of(
            b"audit",
            *(APP.encode(), b"", b"", b"1970-01-01 00:00:00+00:00", b"9999-01-01 00:00:00+00:00"),
        ),
        lambda r, token: r.stub.ListAuditEvents(
            pb.ListAuditEventsRequest(app_id=APP, page_token=token)
        ),
    ),
}
# Of a wrong length for all, out of range for all of that length, no text.
CURSORS = [b"\xff", b"\xff" * 8, b"\xff" * 13, b"\xff" * 24, b"\x7f" + b"\xff" * 23, b"a\0" * 100]
ANY_BYTES_ARE_A_KEY = 16


@pytest.mark.parametrize("name", LISTS)
async def test_a_forged_page_token_is_refused(registry: Registry, name: str) -> None:
    digest, answer = LISTS[name]
    await registry.register(1)
    cursors = [b"\xff" * ANY_BYTES_ARE_A_KEY] if name == "ListAuditEvents" else []
    for cursor in CURSORS + cursors:
        token = encode_page_token(cursor, filter_digest=digest)
        with pytest.raises(RemoteError) as refused:
            await answer(registry, token)
        _names(refused.value, "page_token")
        assert refused.value.reason == "PAGE_TOKEN_MISMATCH"


async def test_the_digests_here_are_those_of_the_lists(registry: Registry) -> None:
    """Else the test above would only show that foreign tokens are refused."""
    for name, cursor in [("ListInstallations", b"\0" * 16), ("ListConsentEvents", b"\0" * 8)]:
        await registry.register(1)
        digest, answer = LISTS[name]
        await answer(registry, encode_page_token(cursor, filter_digest=digest))
    for name, cursor in [("ListErasures", b"\0" * 24), ("ListAuditEvents", b"\0" * 16)]:
        digest, answer = LISTS[name]
        await answer(registry, encode_page_token(cursor, filter_digest=digest))
    digest, answer = LISTS["ListApps"]
    await answer(registry, encode_page_token(b"com.example", filter_digest=digest))


@pytest.mark.parametrize("cursor", [b"\xff", b"\xff" * 15, b"\xff" * 17, b"\0" * 64])
async def test_a_cursor_of_another_length_is_refused(registry: Registry, cursor: bytes) -> None:
    with pytest.raises(RemoteError) as refused:
        await registry.pages(cursor=cursor)
    _names(refused.value, "cursor")


@pytest.mark.parametrize("position", ["x", "A" * 32, "\u20ac" * 30, "=" * 32, "A" * 200])
async def test_what_is_no_position_is_refused(registry: Registry, position: str) -> None:
    call = registry.stub.WatchInstallations(
        pb.WatchInstallationsRequest(app_id=APP, position=position)
    )
    with pytest.raises(RemoteError) as refused:
        async for _ in call:
            pass
    _names(refused.value, "position")


async def test_a_forged_position_expires(registry: Registry) -> None:
    """One that is sealed and lies ahead of all that ever happened."""
    position = position_text(Position(2**64 - 1, 2**63 - 1), APP)
    call = registry.stub.WatchInstallations(
        pb.WatchInstallationsRequest(app_id=APP, position=position)
    )
    with pytest.raises(RemoteError) as refused:
        async for _ in call:
            pass
    assert refused.value.reason == "POSITION_EXPIRED"


async def test_a_token_is_good_for_its_own_predicate_only(registry: Registry) -> None:
    digest, _ = LISTS["ListInstallations"]
    token = encode_page_token(b"\0" * 16, filter_digest=digest)
    asked = pb.ListInstallationsRequest(
        app_id=APP,
        page_token=token,
        predicate=predicate_pb2.Predicate(all_of=predicate_pb2.AllOf()),
    )
    with pytest.raises(RemoteError) as refused:
        await registry.stub.ListInstallations(asked)
    _names(refused.value, "page_token")


def _names(error: RemoteError, field: str) -> None:
    assert error.kind is Kind.INVALID_ARGUMENT
    assert [violation.field for violation in error.violations] == [field]
