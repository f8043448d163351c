"""The admin interface: plain HTTP and JSON on loopback."""

import os
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qs

from pydantic import BaseModel, ValidationError

from nuncio_simulator import base64url
from nuncio_simulator.aes128gcm import Device
from nuncio_simulator.channels import Channels as ChannelBook
from nuncio_simulator.contract import (
    ChannelRequest,
    Channels,
    Fault,
    FaultId,
    Minted,
    MintRequest,
    OfflineBatch,
    ProviderName,
    Shares,
    State,
    Stored,
    Subscription,
    TokenBatch,
)
from nuncio_simulator.faults import Faults
from nuncio_simulator.ledger import Ledger
from nuncio_simulator.population import CannotMintError, Population
from nuncio_simulator.provider import JSON, json_reply
from nuncio_simulator.tokens import Known
from nuncio_simulator.wire import Answer, Reply, Request

Query = dict[str, list[str]]
Route = Callable[[bytes, Query], BaseModel | None]
Connections = Callable[[], dict[ProviderName, int]]


class _RefusedError(Exception):
    """The call cannot be carried out; the text says why and holds no values."""


class Admin:
    """Routes of the admin interface; a Conversation."""

    stream_limit: Final = 1

    def __init__(
        self,
        *,
        population: Population,
        channels: ChannelBook,
        shares: Shares,
        faults: Faults,
        ledger: Ledger,
        connections: Connections,
    ) -> None:
        self._population = population
        self._channels = channels
        self._shares = shares
        self._faults = faults
        self._ledger = ledger
        self._connections = connections
        self._routes: dict[tuple[bytes, str], Route] = {
            (b"POST", "/population/mint"): self._mint,
            (b"POST", "/faults"): self._put_fault,
            (b"DELETE", "/faults"): self._clear_faults,
            (b"GET", "/ledger"): self._view_ledger,
            (b"POST", "/ledger/reset"): self._reset_ledger,
            (b"POST", "/tokens/kill"): self._kill,
            (b"GET", "/ledger/summary"): self._summarise_ledger,
            (b"POST", "/tokens/revive"): self._revive,
            (b"POST", "/tokens/offline"): self._take_offline,
            (b"POST", "/tokens/online"): self._bring_back,
            (b"POST", "/channels/mint"): self._mint_channels,
            (b"POST", "/channels/delete"): self._delete_channels,
            (b"GET", "/state"): self._state,
        }

    def answer(self, request: Request) -> Answer:
        """200 with JSON, 204, or 400/404 with {"error": …}."""
        path, _, query = request.path.decode("latin-1").partition("?")
        route = self._routes.get((request.method, path))
        if route is None:
            return Answer(json_reply(404, {"error": "no such route"}))
        try:
            found = route(request.body, parse_qs(query))
        except ValidationError as error:
            problems = error.errors(include_input=False, include_url=False, include_context=False)
            return Answer(json_reply(400, {"error": "bad input", "problems": problems}))
        except (_RefusedError, CannotMintError) as error:
            return Answer(json_reply(400, {"error": str(error)}))
        if found is None:
            return Answer(Reply(204))
        return Answer(Reply(200, JSON, found.model_dump_json().encode()))

    def answers_ping(self) -> bool:
        """There is no PING in HTTP/1.1."""
        return True

    def _mint(self, body: bytes, _query: Query) -> Minted:
        request = MintRequest.model_validate_json(body)
        tokens = self._population.mint(request, request.shares or self._shares)
        if request.provider is ProviderName.WEBPUSH:
            return Minted(subscriptions=[self._subscription(token) for token in tokens])
        return Minted(tokens=[token.text for token in tokens])

    def _subscription(self, token: Known) -> Subscription:
        device = Device.from_secret(self._population.device_secret(token))
        return Subscription(
            endpoint=token.text, p256dh=device.p256dh, auth=base64url.encode(device.auth)
        )

    def _put_fault(self, body: bytes, _query: Query) -> FaultId:
        fault = Fault.model_validate_json(body)
        cores = None
        if fault.tokens is not None:
            cores = frozenset(token.core for token in self._known(fault.tokens))
        return FaultId(fault_id=self._faults.put(fault, cores))

    def _clear_faults(self, _body: bytes, query: Query) -> None:
        chosen = query.get("fault_id")
        try:
            self._faults.clear(int(chosen[0]) if chosen else None)
        except (KeyError, ValueError) as error:
            raise _RefusedError("there is no such fault") from error

    def _view_ledger(self, _body: bytes, query: Query) -> BaseModel:
        return self._ledger.view(_provider_in(query), detail=query.get("detail") != ["false"])

    def _summarise_ledger(self, _body: bytes, query: Query) -> BaseModel:
        return self._ledger.summary(_provider_in(query))

    def _reset_ledger(self, _body: bytes, _query: Query) -> None:
        self._ledger.reset()

    def _kill(self, body: bytes, _query: Query) -> None:
        batch = TokenBatch.model_validate_json(body)
        for token in self._known(batch.tokens):
            self._population.kill(token, batch.dead_since, fuzzy_seconds=batch.fuzzy_seconds)

    def _revive(self, body: bytes, _query: Query) -> None:
        for token in self._known(TokenBatch.model_validate_json(body).tokens):
            self._population.revive(token)

    def _take_offline(self, body: bytes, _query: Query) -> None:
        batch = OfflineBatch.model_validate_json(body)
        for token in self._known(batch.tokens):
            self._population.mailbox.leave(token.core, batch.since)

    def _bring_back(self, body: bytes, _query: Query) -> Stored:
        tokens = self._known(OfflineBatch.model_validate_json(body).tokens)
        mailbox = self._population.mailbox
        return Stored(accepted_ids=[i for token in tokens for i in mailbox.come_back(token.core)])

    def _mint_channels(self, body: bytes, _query: Query) -> Channels:
        request = ChannelRequest.model_validate_json(body)
        return Channels(channels=self._channels.mint(request))

    def _delete_channels(self, body: bytes, _query: Query) -> None:
        self._channels.delete(Channels.model_validate_json(body).channels)

    def _state(self, _body: bytes, _query: Query) -> State:
        return State(
            pid=os.getpid(),
            connections=self._connections(),
            minted=self._population.minted,
            faults=self._faults.view(),
        )

    def _known(self, texts: list[str]) -> list[Known]:
        found = [self._population.find(text) for text in texts]
        tokens = [token for token in found if token is not None]
        if len(tokens) != len(texts):
            raise _RefusedError("a token is not from this simulator")
        return tokens


def _provider_in(query: Query) -> ProviderName:
    try:
        return ProviderName(query.get("provider", [""])[0])
    except ValueError as error:
        raise _RefusedError("provider is missing or unknown") from error
