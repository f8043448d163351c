"""Credentials tried out against the simulator: what each step finds."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from nuncio_dispatcher.domain.errors import CredentialNotFound
from nuncio_dispatcher.domain.lane_status import (
    CheckResult,
    CheckStepKind,
    CredentialCheck,
    CredentialKind,
)
from nuncio_dispatcher.domain.lanes import LaneDesk
from nuncio_dispatcher.domain.model import Environment, Provider
from nuncio_dispatcher.providers.book import FolderBook
from nuncio_dispatcher.providers.lanes import FolderLanes
from nuncio_runtime.clock import SYSTEM_CLOCK, ManualClock
from nuncio_simulator.contract import FaultKind, ProviderName
from nuncio_simulator.process import Simulator
from tests.integration.dispatcher.providers.meddling import change, closed_port, fault
from tests.integration.dispatcher.providers.sending import (
    APP,
    write_sections,
)

OK, FAILED, SKIPPED = CheckResult.OK, CheckResult.FAILED, CheckResult.SKIPPED


@pytest.fixture
def book(lanes: FolderLanes) -> FolderBook:
    return FolderBook(lanes, clock=SYSTEM_CLOCK)


def results(check: CredentialCheck) -> list[CheckResult]:
    assert [step.kind for step in check.steps] == list(CheckStepKind)
    return [step.result for step in check.steps]


async def test_good_credentials_pass_every_step(book: FolderBook) -> None:
    checks = await book.check(APP, None, None)
    assert [results(check) for check in checks] == [
        [OK, OK, OK, OK, SKIPPED],  # the simulator judges the device token first
        [OK, OK, OK, OK, SKIPPED],
        [OK, OK, OK, OK, OK],
        [OK, OK, OK, OK, SKIPPED],
    ], [check.steps for check in checks]
    assert all(check.credential for check in checks)


async def test_a_key_is_taken_where_the_device_token_comes_after_it(
    book: FolderBook, simulator: Simulator
) -> None:
    """As with Apple: the first answer is about the device token, and without a key about that."""
    reason = "BadDeviceToken"
    await fault(simulator, ProviderName.APNS, kind=FaultKind.ANSWER, reason=reason, count=1)
    await fault(
        simulator, ProviderName.APNS, kind=FaultKind.CREDENTIAL, reason="MissingProviderToken"
    )
    (check,) = await book.check(APP, Provider.APNS, Environment.PRODUCTION)
    assert results(check) == [OK] * 5
    assert reason in check.steps[-1].text


async def test_where_the_device_token_comes_first_nothing_is_said_about_the_key(
    book: FolderBook, simulator: Simulator, tmp_path: Path
) -> None:
    right, wrong = simulator.apns.key_id, "WRONGKEY01"
    change(tmp_path, lambda text: text.replace(f'key_id = "{right}"', f'key_id = "{wrong}"'))
    (check,) = await book.check(APP, Provider.APNS, Environment.PRODUCTION)
    assert results(check) == [OK, OK, OK, OK, SKIPPED]
    assert "cannot be told" in check.steps[-1].text


async def test_a_check_asks_sparingly_and_delivers_nothing(
    book: FolderBook, simulator: Simulator
) -> None:
    await book.check(APP, Provider.APNS, Environment.PRODUCTION)
    await book.check(APP, Provider.FCM, None)
    for provider, asked in ((ProviderName.APNS, 2), (ProviderName.FCM, 1)):
        ledger = await simulator.admin.ledger(provider)
        assert (ledger.accepted, sum(answer.count for answer in ledger.answers)) == (0, asked)


async def test_a_check_can_be_of_one_credential(book: FolderBook) -> None:
    (check,) = await book.check(APP, Provider.APNS, Environment.SANDBOX)
    assert (check.provider, check.environment) == (Provider.APNS, Environment.SANDBOX)
    assert FAILED not in results(check)


async def failing(
    book: FolderBook, provider: Provider, step: CheckStepKind, *, then: CheckResult = SKIPPED
) -> str:
    """What the failed step says; of those after it, none was a success but the connection."""
    (check,) = await book.check(APP, provider, Environment.PRODUCTION)
    found = {each.kind: each for each in check.steps}
    assert found[step].result is FAILED, check.steps
    assert [kind for kind, each in found.items() if each.result is FAILED] == [step]
    if step is not CheckStepKind.ACCEPTANCE:
        assert found[CheckStepKind.ACCEPTANCE].result is then
    return found[step].text


async def test_a_section_that_is_not_complete(book: FolderBook, tmp_path: Path) -> None:
    change(tmp_path, lambda text: text.replace("topic = ", "topik = "))
    assert "apns.production" in await failing(book, Provider.APNS, CheckStepKind.FILE)


async def test_a_key_file_that_is_not_there(
    book: FolderBook, simulator: Simulator, tmp_path: Path
) -> None:
    change(tmp_path, lambda text: text.replace(str(simulator.apns.key_file), "gone.p8"))
    assert "cannot read gone.p8" in await failing(book, Provider.APNS, CheckStepKind.FILE)


async def test_a_key_that_is_none(book: FolderBook, simulator: Simulator, tmp_path: Path) -> None:
    (tmp_path / "wrong.p8").write_text("secret words")
    change(tmp_path, lambda text: text.replace(str(simulator.apns.key_file), "wrong.p8"))
    said = await failing(book, Provider.APNS, CheckStepKind.KEY)
    assert "key_file" in said
    assert "secret words" not in said


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("InvalidProviderToken", "do not belong together"),
        ("BadEnvironmentKeyIdInToken", "for the other environment"),
    ],
)
async def test_a_key_that_apns_refuses(
    book: FolderBook, simulator: Simulator, reason: str, hint: str
) -> None:
    await fault(simulator, ProviderName.APNS, kind=FaultKind.CREDENTIAL, reason=reason)
    said = await failing(book, Provider.APNS, CheckStepKind.ACCEPTANCE)
    assert reason in said
    assert hint in said


async def test_a_topic_of_another_team_is_refused_by_apns(
    book: FolderBook, simulator: Simulator, tmp_path: Path
) -> None:
    topic = f'topic = "{simulator.apns.topics[0]}"'
    change(tmp_path, lambda text: text.replace(topic, 'topic = "com.example.stranger"'))
    said = await failing(book, Provider.APNS, CheckStepKind.ACCEPTANCE)
    assert "TopicDisallowed" in said or "DeviceTokenNotForTopic" in said


@pytest.mark.parametrize("provider", [Provider.APNS, Provider.FCM])
async def test_an_origin_out_of_reach(
    book: FolderBook, simulator: Simulator, tmp_path: Path, provider: Provider
) -> None:
    origin = simulator.apns.origin if provider is Provider.APNS else simulator.fcm.origin
    nowhere = f"https://127.0.0.1:{closed_port()}"
    change(tmp_path, lambda text: text.replace(origin, nowhere))
    said = await failing(book, provider, CheckStepKind.CONNECTION)
    assert f"{nowhere}: cannot be reached" in said


async def test_an_origin_that_is_not_trusted(
    book: FolderBook, simulator: Simulator, tmp_path: Path
) -> None:
    change(tmp_path, lambda text: text.replace(f'ca_file = "{simulator.ca_file}"\n', ""))
    said = await failing(book, Provider.APNS, CheckStepKind.CONNECTION)
    assert "its certificate is not trusted" in said


def with_certificate(folder: Path, simulator: Simulator, certificate: Path, key: Path) -> None:
    """The app's file, with an APNs certificate and nothing else."""
    access = simulator.apns
    section: dict[str, object] = {
        "certificate_file": str(certificate),
        "certificate_key_file": str(key),
        "topic": access.topics[0],
        "origin": access.origin,
        "ca_file": str(simulator.ca_file),
    }
    write_sections(folder / f"{APP}.toml", {"apns.production": section})


async def test_a_certificate_needs_no_token_and_says_when_it_ends(
    book: FolderBook, simulator: Simulator, tmp_path: Path
) -> None:
    file, key = simulator.apns.client_certificate_file, simulator.apns.client_key_file
    assert file
    assert key
    with_certificate(tmp_path, simulator, file, key)
    (check,) = await book.check(APP, None, None)
    assert results(check) == [OK, OK, SKIPPED, OK, OK]
    assert check.credential
    assert check.credential.kind is CredentialKind.CERTIFICATE
    assert check.credential.not_after
    assert f"ends on {check.credential.not_after:%Y-%m-%d}" in check.steps[1].text
    assert [lane.credential.not_after for lane in book.lanes() if lane.credential] == [
        check.credential.not_after
    ]


async def test_a_certificate_with_the_key_of_another(
    book: FolderBook, simulator: Simulator, tmp_path: Path
) -> None:
    file, key = simulator.apns.client_certificate_file, simulator.apns.wrong_client_key_file
    assert file
    assert key
    with_certificate(tmp_path, simulator, file, key)
    said = await failing(book, Provider.APNS, CheckStepKind.KEY)
    assert "certificate_key_file" in said


async def test_two_vapid_keys_of_one_name(
    book: FolderBook, simulator: Simulator, tmp_path: Path
) -> None:
    file = simulator.webpush.vapid_private_key_file
    again = f'previous_keys = [{{key_id = "first", private_key_file = "{file}"}}]'
    change(tmp_path, lambda text: text.replace('key_id = "first"', f'key_id = "first"\n{again}'))
    said = await failing(book, Provider.WEB_PUSH, CheckStepKind.KEY)
    assert "key_id" in said


async def test_a_service_account_that_google_refuses(
    book: FolderBook, simulator: Simulator
) -> None:
    await fault(simulator, ProviderName.OAUTH, kind=FaultKind.CREDENTIAL)
    said = await failing(book, Provider.FCM, CheckStepKind.TOKEN)
    assert "refuses the service account" in said


async def test_fcm_that_refuses_the_access_token(book: FolderBook, simulator: Simulator) -> None:
    await fault(simulator, ProviderName.FCM, kind=FaultKind.CREDENTIAL)
    said = await failing(book, Provider.FCM, CheckStepKind.ACCEPTANCE)
    assert said.startswith(("refused", "it does not say"))


@pytest.mark.parametrize("status", [503, 404], ids=["in trouble", "perhaps not APNs at all"])
async def test_an_answer_that_says_nothing_about_the_credential(
    book: FolderBook, simulator: Simulator, status: int
) -> None:
    await fault(simulator, ProviderName.APNS, kind=FaultKind.ANSWER, status=status, count=1)
    said = await failing(book, Provider.APNS, CheckStepKind.ACCEPTANCE)
    assert "try again later" in said


async def test_a_check_uses_the_token_of_the_lanes(
    hand_lanes: FolderLanes, hand_clock: ManualClock
) -> None:
    """Apple answers 429 to teams that make new ones often."""
    book, texts = FolderBook(hand_lanes, clock=hand_clock), set[str]()
    for _ in range(3):
        (check,) = await book.check(APP, Provider.APNS, Environment.PRODUCTION)
        texts.add(check.steps[CheckStepKind.TOKEN - 1].text)
        hand_clock.advance(60)
    assert len(texts) == 1


async def test_nothing_to_check_is_not_found(book: FolderBook, tmp_path: Path) -> None:
    desk = LaneDesk(book)
    with pytest.raises(CredentialNotFound) as caught:
        await desk.check("com.example.other", None, None)
    assert caught.value.metadata == {"appId": "com.example.other"}
    change(tmp_path, lambda text: text[text.index("[apns.sandbox]") :])
    with pytest.raises(CredentialNotFound) as caught:
        await desk.check(APP, Provider.APNS, Environment.PRODUCTION)
    assert caught.value.metadata == {
        "appId": APP,
        "provider": "apns",
        "environment": "production",
    }


@asynccontextmanager
async def old_server(folder: Path) -> AsyncIterator[str]:
    """A server that is trusted, by `old.pem`, but speaks no HTTP/2; gives its origin."""
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "old")])
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(address, critical=False)
        .sign(key, SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "old.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "old.key").write_bytes(pem)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(folder / "old.pem", folder / "old.key")

    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=tls) as server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_an_origin_that_speaks_no_http2(
    book: FolderBook, simulator: Simulator, tmp_path: Path
) -> None:
    async with old_server(tmp_path) as origin:
        change(tmp_path, lambda text: text.replace(simulator.apns.origin, origin))
        change(tmp_path, lambda text: text.replace(str(simulator.ca_file), "old.pem"))
        said = await failing(book, Provider.APNS, CheckStepKind.CONNECTION)
    assert said == f"{origin}: speaks no HTTP/2"
