"""One simulator with every option that changes how connections go, and certificates of clients."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from nuncio_simulator.contract import Fault, FaultKind, ProviderName, Shares
from nuncio_simulator.process import Simulator, start_simulator
from tests.integration.simulator.test_apns import ALIVE, bearer, headers_for

TOPIC = "com.example.options"


@pytest.fixture
async def odd(tmp_path: Path) -> AsyncIterator[Simulator]:
    """A simulator that is quick to end connections."""
    async with start_simulator(
        tmp_path,
        apns_topic=TOPIC,
        apns_bad_tokens=2,
        apns_documented_spelling=True,
        fuzzy_seconds=600,
        fcm_per_minute=1,
        webpush_http1_only=True,
    ) as simulator:
        yield simulator


def client(simulator: Simulator, *certificate: Path | None) -> httpx.AsyncClient:
    """Speaks HTTP/2 where it can; may show a certificate, given by its file and its key's."""
    trust = ssl.create_default_context(cafile=str(simulator.ca_file))
    if certificate:
        trust.load_cert_chain(*(str(path) for path in certificate))
    return httpx.AsyncClient(http2=True, verify=trust, trust_env=False)


async def push(http: httpx.AsyncClient, origin: str, token: str, **headers: str) -> tuple[int, str]:
    """Status and reason."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await http.post(f"{origin}/3/device/{token}", headers=given, json={"aps": {}})
    return answer.status_code, answer.json()["reason"] if answer.content else ""


async def test_options_reach_the_providers(odd: Simulator) -> None:
    apns = odd.apns
    [token] = (await odd.admin.mint(ProviderName.APNS, 1, shares=ALIVE)).tokens
    dead = Shares(dead=1, dead_before=0, throttled=0, slow=0)
    [dying] = (await odd.admin.mint(ProviderName.APNS, 1, shares=dead)).tokens
    headers = headers_for(odd)
    async with client(odd) as http:
        assert await push(http, apns.origin, dying, **headers) == (200, "")
        for _ in range(2):
            answer = await push(http, apns.origin, "ab" * 32, **headers)
            assert answer == (400, "BadDeviceToken")
        # The same client has to open another connection, and only there this JWT is welcome.
        second = bearer(apns.key_file, team_id=apns.team_id, key_id=apns.key_id, age=1)
        answer = await push(http, apns.origin, token, **headers | {"authorization": second})
        assert answer == (200, "")
        assert apns.sandbox_key_file is not None
        foreign = bearer(
            apns.sandbox_key_file, team_id=apns.team_id, key_id=apns.sandbox_key_id, age=0
        )
        answer = await push(http, apns.origin, token, **headers | {"authorization": foreign})
        assert answer == (403, "BadEnvironmentKeyIdInToken")
        response = await http.post(f"{odd.webpush.origin}/wpush/v2/x")
        assert (response.http_version, response.status_code) == ("HTTP/1.1", 400)
        url = f"{odd.fcm.origin}/v1/projects/{odd.fcm.project_id}/messages:send"
        assert [(await http.post(url)).status_code for _ in range(2)] == [401, 429]


async def test_a_certificate_stands_for_a_provider_token(odd: Simulator) -> None:
    apns = odd.apns
    [token] = (await odd.admin.mint(ProviderName.APNS, 1, shares=ALIVE)).tokens
    in_sandbox = await odd.admin.mint(ProviderName.APNS, 1, shares=ALIVE, environment="sandbox")
    async with client(odd, apns.client_certificate_file, apns.client_key_file) as http:
        assert await push(http, apns.origin, token, apns_topic=TOPIC) == (200, "")
        assert await push(http, apns.origin, token) == (400, "MissingTopic")
    async with client(
        odd, apns.sandbox_client_certificate_file, apns.sandbox_client_key_file
    ) as http:
        assert await push(http, apns.origin, token) == (403, "BadCertificateEnvironment")
        assert await push(http, apns.sandbox_origin, in_sandbox.tokens[0]) == (200, "")
    async with client(odd, apns.wrong_client_certificate_file, apns.wrong_client_key_file) as http:
        assert await push(http, apns.origin, token, apns_topic=TOPIC) == (403, "BadCertificate")


async def test_broadcasts_devices_out_of_reach_and_the_summary(
    simulator: Simulator, http2: httpx.AsyncClient
) -> None:
    admin, apns = simulator.admin, simulator.apns
    [channel, gone] = await admin.mint_channels(2)
    await admin.delete_channels([gone])
    url = f"{apns.origin}/4/broadcasts/apps/{apns.topics[0]}"
    headers = {"authorization": headers_for(simulator)["authorization"]}
    headers |= {"apns-push-type": "liveactivity", "apns-expiration": "0"}
    statuses = [
        (await http2.post(url, headers=headers | {"apns-channel-id": to}, json={"aps": {}}))
        for to in (channel, gone)
    ]
    assert [answer.status_code for answer in statuses] == [200, 400]
    [token] = (await admin.mint(ProviderName.APNS, 1, shares=ALIVE)).tokens
    await admin.take_offline([token])
    for _ in range(2):
        assert (await push(http2, apns.origin, token, **headers_for(simulator)))[0] == 200
    waiting = await admin.bring_back([token])
    assert len(waiting) == 1
    assert waiting[0] in (await admin.ledger(ProviderName.APNS)).accepted_ids
    summary = await admin.summary(ProviderName.APNS)
    assert (summary.accepted, summary.ids, summary.tokens) == (3, 3, 2)
    assert (summary.most_for_one_id, summary.most_for_one_token) == (1, 2)


async def test_a_repeated_goaway_loses_and_doubles_nothing_for_a_patient_client(
    simulator: Simulator, http2: httpx.AsyncClient
) -> None:
    tokens = (await simulator.admin.mint(ProviderName.APNS, 20, shares=ALIVE)).tokens
    goaway = Fault(provider=ProviderName.APNS, kind=FaultKind.GOAWAY, after_streams=3)
    await simulator.admin.fault(goaway)
    for token in tokens:
        answer = await push(http2, simulator.apns.origin, token, **headers_for(simulator))
        assert answer == (200, "")
    summary = await simulator.admin.summary(ProviderName.APNS)
    assert (summary.accepted, summary.tokens, summary.most_for_one_token) == (20, 20, 1)


@pytest.mark.parametrize(
    "kind",
    [FaultKind.INFORMATIONAL, FaultKind.TRAILERS, FaultKind.PADDING, FaultKind.SPLIT],
)
async def test_clients_read_an_answer_in_any_layout(
    simulator: Simulator, http2: httpx.AsyncClient, kind: FaultKind
) -> None:
    [token] = (await simulator.admin.mint(ProviderName.APNS, 1, shares=ALIVE)).tokens
    await simulator.admin.kill([token])
    await simulator.admin.fault(Fault(provider=ProviderName.APNS, kind=kind))
    answer = await push(http2, simulator.apns.origin, token, **headers_for(simulator))
    assert answer == (410, "Unregistered")


async def test_an_oversized_answer_comes_whole(
    simulator: Simulator, http2: httpx.AsyncClient
) -> None:
    fault = Fault(provider=ProviderName.APNS, kind=FaultKind.OVERSIZED, body_bytes=300_000)
    await simulator.admin.fault(fault)
    answer = await http2.post(f"{simulator.apns.origin}/3/device/x")
    assert len(answer.content) == 300_000
