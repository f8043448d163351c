"""The admin interface's other end, for tests and command lines."""

from types import TracebackType
from typing import Final

import httpx
from pydantic import BaseModel

from nuncio_simulator.contract import (
    ChannelRequest,
    Channels,
    Environment,
    Fault,
    FaultId,
    LedgerSummary,
    LedgerView,
    Mintable,
    Minted,
    MintRequest,
    OfflineBatch,
    Platform,
    ProviderName,
    Shares,
    State,
    Stored,
    Subscription,
    TokenBatch,
)

TIMEOUT: Final = 30.0
PAGE: Final = 10_000


class AdminError(Exception):
    """The simulator refused; the text is its own."""


class AdminClient:
    """Calls to one simulator. Close it, or use it as a context manager."""

    def __init__(self, admin_url: str) -> None:
        self._http = httpx.AsyncClient(base_url=admin_url, timeout=TIMEOUT, trust_env=False)

    async def __aenter__(self) -> "AdminClient":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._http.aclose()

    async def mint(
        self,
        provider: Mintable,
        count: int,
        *,
        platform: Platform | None = None,
        environment: Environment = "production",
        shares: Shares | None = None,
        topic: str | None = None,
        vapid_public_key: str | None = None,
        around: float | None = None,
    ) -> Minted:
        """Make any number of tokens or subscriptions; see MintRequest for what is left out."""
        draft = MintRequest(
            provider=provider,
            platform=platform,
            environment=environment,
            count=0,
            shares=shares,
            topic=topic,
            vapid_public_key=vapid_public_key,
            around=around,
        )
        tokens: list[str] = []
        subscriptions: list[Subscription] = []
        for done in range(0, count, PAGE):
            request = draft.model_copy(update={"count": min(PAGE, count - done)})
            page = Minted.model_validate_json(await self._post("/population/mint", request))
            tokens += page.tokens
            subscriptions += page.subscriptions
        return Minted(tokens=tokens, subscriptions=subscriptions)

    async def fault(self, fault: Fault) -> int:
        """Put a fault in place; returns its id."""
        return FaultId.model_validate_json(await self._post("/faults", fault)).fault_id

    async def clear_faults(self, fault_id: int | None = None) -> None:
        """Take one fault away, or all."""
        query = {} if fault_id is None else {"fault_id": fault_id}
        await self._call("DELETE", "/faults", params=query)

    async def ledger(self, provider: ProviderName, *, detail: bool = True) -> LedgerView:
        """What the provider did since the last reset."""
        query = {"provider": str(provider), "detail": "true" if detail else "false"}
        return LedgerView.model_validate_json(await self._call("GET", "/ledger", params=query))

    async def summary(self, provider: ProviderName) -> LedgerSummary:
        """What proves that nothing was lost and nothing doubled; small, whatever was sent."""
        query = {"provider": str(provider)}
        return LedgerSummary.model_validate_json(
            await self._call("GET", "/ledger/summary", params=query)
        )

    async def reset_ledger(self) -> None:
        """Start new books, for all providers."""
        await self._call("POST", "/ledger/reset")

    async def kill(
        self, tokens: list[str], dead_since: float | None = None, *, fuzzy_seconds: float = 0
    ) -> None:
        """Let tokens or endpoints be dead since then, in Unix seconds; default: now.

        fuzzy_seconds: for how long, from now, the provider goes on accepting.
        """
        batch = TokenBatch(tokens=tokens, dead_since=dead_since, fuzzy_seconds=fuzzy_seconds)
        await self._post("/tokens/kill", batch)

    async def revive(self, tokens: list[str]) -> None:
        """Let tokens or endpoints live, as after a new registration on the device."""
        await self._post("/tokens/revive", TokenBatch(tokens=tokens))

    async def take_offline(self, tokens: list[str], since: float | None = None) -> None:
        """Let devices be out of reach since then, in Unix seconds; default: now."""
        await self._post("/tokens/offline", OfflineBatch(tokens=tokens, since=since))

    async def bring_back(self, tokens: list[str]) -> list[str]:
        """Let devices be in reach again; the accepted ids of what waited for them."""
        answer = await self._post("/tokens/online", OfflineBatch(tokens=tokens))
        return Stored.model_validate_json(answer).accepted_ids

    async def mint_channels(
        self,
        count: int,
        *,
        topic: str | None = None,
        environment: Environment = "production",
        stores: bool = True,
    ) -> list[str]:
        """Make broadcast channels of APNs; see ChannelRequest."""
        request = ChannelRequest(count=count, topic=topic, environment=environment, stores=stores)
        answer = await self._post("/channels/mint", request)
        return Channels.model_validate_json(answer).channels

    async def delete_channels(self, channels: list[str]) -> None:
        """Let channels be registered no longer."""
        await self._post("/channels/delete", Channels(channels=channels))

    async def state(self) -> State:
        """The simulator at a glance."""
        return State.model_validate_json(await self._call("GET", "/state"))

    async def _post(self, path: str, body: BaseModel) -> bytes:
        return await self._call("POST", path, content=body.model_dump_json().encode())

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | dict[str, int] | None = None,
        content: bytes | None = None,
    ) -> bytes:
        response = await self._http.request(method, path, params=params, content=content)
        if response.is_error:
            raise AdminError(response.text)
        return response.content
