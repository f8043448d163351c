"""The Web Push lane against the simulator: encryption, VAPID, the guard, answers and faults."""

import hashlib
from base64 import urlsafe_b64encode
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from nuncio_dispatcher.domain.model import (
    Environment,
    Message,
    Platform,
    Provider,
    TargetColumns,
    Verdict,
    WebPushToken,
)
from nuncio_dispatcher.domain.ports import Lane
from nuncio_dispatcher.providers.lane.gate import MOST_DOUBTS
from nuncio_dispatcher.providers.lanes import FolderLanes
from nuncio_dispatcher.providers.webpush.payload import plaintext
from nuncio_simulator.contract import Fault, FaultKind, ProviderName
from nuncio_simulator.contract import Platform as Browser
from nuncio_simulator.process import Simulator
from tests.integration.dispatcher.providers.sending import (
    APP,
    MESSAGE,
    answers_given,
    change_credentials,
    rows,
    send_until_stopped,
    soon,
    subscribed,
    taken,
    verdicts,
)

BROWSERS = [Browser.FIREFOX, Browser.CHROME, Browser.EDGE, Browser.SAFARI]


async def minted(
    simulator: Simulator,
    count: int,
    browser: Browser = Browser.FIREFOX,
    *,
    key_id: str = "first",
    vapid_public_key: str | None = None,
) -> TargetColumns:
    found = await simulator.admin.mint(
        ProviderName.WEBPUSH, count, platform=browser, vapid_public_key=vapid_public_key
    )
    return rows(subscribed(found.subscriptions, key_id=key_id), Platform.WEB)


async def fault(simulator: Simulator, kind: FaultKind, **details: object) -> None:
    await simulator.admin.fault(
        Fault.model_validate({"provider": ProviderName.WEBPUSH, "kind": kind, **details})
    )


def add_previous_key(folder: Path, key: dict[str, str]) -> None:
    path = folder / f"{APP}.toml"
    pairs = ", ".join(f'{name} = "{value}"' for name, value in key.items())
    path.write_text(f"{path.read_text()}previous_keys = [{{ {pairs} }}]\n")


def pem(key: EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def other_key() -> str:
    return encoded(generate_private_key(SECP256R1()).public_key())


def public_key(file: Path) -> str:
    key = load_pem_private_key(file.read_bytes(), password=None)
    assert isinstance(key, EllipticCurvePrivateKey)
    return encoded(key.public_key())


def encoded(key: EllipticCurvePublicKey) -> str:
    raw = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.mark.parametrize("browser", BROWSERS)
@pytest.mark.parametrize("time_to_live", [timedelta(0), timedelta(hours=1)])
async def test_every_push_service_takes_and_every_browser_reads_the_message(
    simulator: Simulator, web_push: Lane, browser: Browser, time_to_live: timedelta
) -> None:
    message = Message(title="Grüße 👋", link="https://example.com", time_to_live=time_to_live)
    page = await minted(simulator, 3, browser)
    answers = await web_push.send(message, page, expires_at=soon())
    assert verdicts(answers) == [Verdict.ACCEPTED] * 3
    ledger = await simulator.admin.ledger(ProviderName.WEBPUSH)
    assert ledger.plaintexts == {hashlib.sha256(plaintext(message)).hexdigest(): 3}


@pytest.mark.parametrize("browser", BROWSERS)
async def test_an_ended_subscription_is_dead(
    simulator: Simulator, web_push: Lane, browser: Browser
) -> None:
    page = await minted(simulator, 2, browser)
    await simulator.admin.kill([page.tokens[0].reveal()])
    answers = await web_push.send(MESSAGE, page, expires_at=soon())
    assert verdicts(answers) == [Verdict.TOKEN_DEAD, Verdict.ACCEPTED]


@pytest.mark.parametrize("browser", [Browser.FIREFOX, Browser.CHROME, Browser.SAFARI])
@pytest.mark.parametrize(
    ("key_id", "verdict"),
    [
        ("older", Verdict.TOKEN_DOUBTFUL),
        ("", Verdict.TOKEN_DOUBTFUL),
        ("first", Verdict.MISCONFIGURED),
    ],
    ids=["another key", "unknown key", "our key"],
)
async def test_a_key_mismatch_never_kills_a_subscription(
    simulator: Simulator, web_push: Lane, browser: Browser, key_id: str, verdict: Verdict
) -> None:
    page = await minted(simulator, 1, browser, key_id=key_id, vapid_public_key=other_key())
    answers = await web_push.send(MESSAGE, page, expires_at=soon())
    assert verdicts(answers) == [verdict]


@pytest.mark.parametrize("browser", BROWSERS)
async def test_a_refused_credential_is_no_fault_of_the_subscriptions(
    simulator: Simulator, web_push: Lane, browser: Browser
) -> None:
    await fault(simulator, FaultKind.CREDENTIAL)
    answers = await web_push.send(MESSAGE, await minted(simulator, 2, browser), expires_at=soon())
    assert verdicts(answers) == [Verdict.MISCONFIGURED] * 2


@pytest.mark.parametrize("browser", BROWSERS)
async def test_a_refused_credential_stops_the_rows_that_are_not_on_their_way(
    simulator: Simulator, web_push: Lane, browser: Browser
) -> None:
    await fault(simulator, FaultKind.CREDENTIAL)
    answers = await web_push.send(MESSAGE, await minted(simulator, 300, browser), expires_at=soon())
    assert set(verdicts(answers)) == {Verdict.MISCONFIGURED}
    assert sum(at is not None for at in answers.sent_at) <= 100 + MOST_DOUBTS
    before = await answers_given(simulator, ProviderName.WEBPUSH)
    later = await web_push.send(MESSAGE, await minted(simulator, 10), expires_at=soon())
    assert later.sent_at == [None] * 10
    assert await answers_given(simulator, ProviderName.WEBPUSH) == before


@pytest.mark.parametrize("browser", [Browser.FIREFOX, Browser.CHROME, Browser.SAFARI])
async def test_a_subscription_that_claims_our_key_stops_nobody(
    simulator: Simulator, web_push: Lane, browser: Browser
) -> None:
    claims = await minted(simulator, 1, browser, vapid_public_key=other_key())
    for _ in range(3):
        refused = await web_push.send(MESSAGE, claims, expires_at=soon())
        assert verdicts(refused) == [Verdict.MISCONFIGURED]
    answers = await web_push.send(MESSAGE, await minted(simulator, 5, browser), expires_at=soon())
    assert verdicts(answers) == [Verdict.ACCEPTED] * 5


async def test_an_ended_subscription_of_another_key_is_only_doubtful(
    simulator: Simulator, web_push: Lane
) -> None:
    page = await minted(simulator, 1, key_id="older")
    await simulator.admin.kill([page.tokens[0].reveal()])
    answers = await web_push.send(MESSAGE, page, expires_at=soon())
    assert verdicts(answers) == [Verdict.TOKEN_DOUBTFUL]


async def test_a_stop_brings_back_what_there_is(simulator: Simulator, web_push: Lane) -> None:
    page = await minted(simulator, 450)  # more than four connections take at once
    silent = [token.reveal() for token in page.tokens[10:]]
    await fault(simulator, FaultKind.NO_ANSWER, tokens=silent, after_accept=True)
    when = taken(simulator, ProviderName.WEBPUSH, 100)
    answers = await send_until_stopped(web_push, page, when=when)
    assert set(verdicts(answers)[:10]) == {Verdict.ACCEPTED}
    assert set(verdicts(answers)[10:]) == {Verdict.UNKNOWN, Verdict.RETRY}


async def test_a_throttled_subscription_slows_nobody_and_a_throttled_host_its_road(
    simulator: Simulator, hand_lanes: FolderLanes
) -> None:
    web_push = hand_lanes.lane(APP, Provider.WEB_PUSH, Environment.PRODUCTION)
    await fault(simulator, FaultKind.RETRY_AFTER, reason="throttled", retry_after=900, count=1)
    await web_push.send(MESSAGE, await minted(simulator, 1, Browser.FIREFOX), expires_at=soon())
    page = await minted(simulator, 2, Browser.EDGE)
    answers = await web_push.send(MESSAGE, page, expires_at=soon())
    assert verdicts(answers) == [Verdict.ACCEPTED] * 2  # a 429 elsewhere is about its subscription
    await fault(simulator, FaultKind.RETRY_AFTER, reason="throttled", retry_after=900, count=1)
    await web_push.send(MESSAGE, await minted(simulator, 1, Browser.EDGE), expires_at=soon())
    held = await web_push.send(MESSAGE, page, expires_at=soon())
    assert held.reasons == ["SLOWED_DOWN"] * 2
    assert held.retry_after == [timedelta(minutes=15)] * 2


@pytest.mark.parametrize("browser", BROWSERS)
async def test_throttling_is_a_reason_to_wait(
    simulator: Simulator, web_push: Lane, browser: Browser
) -> None:
    await fault(simulator, FaultKind.RETRY_AFTER, reason="throttled", retry_after=900)
    answers = await web_push.send(MESSAGE, await minted(simulator, 1, browser), expires_at=soon())
    assert verdicts(answers) == [Verdict.RETRY]
    assert answers.retry_after == [timedelta(minutes=15)]


async def test_a_subscription_of_a_previous_key_is_served_with_that_key(
    simulator: Simulator, tmp_path: Path, lanes: FolderLanes
) -> None:
    current = tmp_path / "current.pem"
    current.write_bytes(pem(generate_private_key(SECP256R1())))
    previous = {
        "key_id": "first",
        "private_key_file": str(simulator.webpush.vapid_private_key_file),
    }
    change_credentials(tmp_path, key_id="second", private_key_file=str(current))
    add_previous_key(tmp_path, previous)
    web_push = lanes.lane(APP, Provider.WEB_PUSH, Environment.PRODUCTION)
    old, new = (
        await minted(simulator, 3, key_id="first"),
        await minted(simulator, 3, key_id="second", vapid_public_key=public_key(current)),
    )
    for page in (old, new):
        answers = await web_push.send(MESSAGE, page, expires_at=soon())
        assert verdicts(answers) == [Verdict.ACCEPTED] * 3
    unknown = await minted(simulator, 1, key_id="third")
    answers = await web_push.send(MESSAGE, unknown, expires_at=soon())
    assert verdicts(answers) == [Verdict.TOKEN_DOUBTFUL]


async def test_redirects_are_not_followed(simulator: Simulator, web_push: Lane) -> None:
    page = await minted(simulator, 2)
    headers = {"location": page.tokens[1].reveal()}
    tokens = [page.tokens[0].reveal()]
    await fault(
        simulator, FaultKind.ANSWER, status=301, reason="moved", headers=headers, tokens=tokens
    )
    answers = await web_push.send(MESSAGE, page, expires_at=soon())
    assert verdicts(answers) == [Verdict.REFUSED, Verdict.ACCEPTED]
    assert answers.reasons[0] == "REDIRECTED"
    assert (await simulator.admin.ledger(ProviderName.WEBPUSH)).accepted == 1


async def test_an_endpoint_outside_the_allowed_ones_is_never_called(
    simulator: Simulator, tmp_path: Path, lanes: FolderLanes
) -> None:
    path = tmp_path / f"{APP}.toml"
    kept = [line for line in path.read_text().splitlines() if "allowed_origins" not in line]
    path.write_text("\n".join(kept))
    web_push = lanes.lane(APP, Provider.WEB_PUSH, Environment.PRODUCTION)
    answers = await web_push.send(MESSAGE, await minted(simulator, 2), expires_at=soon())
    assert verdicts(answers) == [Verdict.TOKEN_DOUBTFUL] * 2
    assert answers.reasons == ["ENDPOINT_NOT_ALLOWED"] * 2
    ledger = await simulator.admin.ledger(ProviderName.WEBPUSH)
    assert ledger.accepted == 0
    assert not ledger.answers


async def test_keys_that_are_none_are_found_before_sending(
    simulator: Simulator, web_push: Lane
) -> None:
    good = await minted(simulator, 1)
    bad = WebPushToken(good.tokens[0].reveal(), p256dh=b"\x04" + bytes(64), auth=bytes(16))
    answers = await web_push.send(MESSAGE, rows([bad], Platform.WEB), expires_at=soon())
    assert verdicts(answers) == [Verdict.TOKEN_DOUBTFUL]
    assert answers.reasons == ["BAD_SUBSCRIPTION_KEYS"]
    assert answers.sent_at == [None]


async def test_one_silent_subscription_takes_nobody_along(
    simulator: Simulator, tmp_path: Path, lanes: FolderLanes
) -> None:
    change_credentials(tmp_path, answer_within=1.0)
    web_push = lanes.lane(APP, Provider.WEB_PUSH, Environment.PRODUCTION)
    page = await minted(simulator, 10)
    await fault(simulator, FaultKind.NO_ANSWER, tokens=[page.tokens[2].reveal()])
    answers = await web_push.send(MESSAGE, page, expires_at=soon())
    assert Counter(verdicts(answers)) == {Verdict.UNKNOWN: 1, Verdict.ACCEPTED: 9}
    assert answers.reasons[2] == "NO_ANSWER"
    again = await web_push.send(MESSAGE, await minted(simulator, 5), expires_at=soon())
    assert verdicts(again) == [Verdict.ACCEPTED] * 5


async def test_a_lost_connection_leaves_written_rows_unknown(
    simulator: Simulator, web_push: Lane
) -> None:
    await fault(simulator, FaultKind.CLOSE, count=1)
    answers = await web_push.send(MESSAGE, await minted(simulator, 1), expires_at=soon())
    assert verdicts(answers) == [Verdict.UNKNOWN]
