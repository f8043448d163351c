"""The credentials folder: what a file says, what is wrong with it, and when it is read again."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from nuncio_dispatcher.domain.errors import MessageInvalid
from nuncio_dispatcher.domain.model import (
    Environment,
    Message,
    Platform,
    Provider,
    PushToken,
    TargetColumns,
    Verdict,
)
from nuncio_dispatcher.domain.overrides import ApnsOverrides, PushType
from nuncio_dispatcher.domain.ports import Lane, Lanes
from nuncio_dispatcher.providers.apns.settings import CERTIFICATE_FIELDS, TOKEN_FIELDS
from nuncio_dispatcher.providers.lane.lane import ProviderLane, UnusableLane
from nuncio_dispatcher.providers.lanes import FolderLanes
from nuncio_runtime.clock import ManualClock

APP = "com.example.shop"
APNS = """
[apns.production]
team_id = "TEAM123456"
key_id = "KEY1234567"
key_file = "AuthKey.p8"
topic = "com.example.shop"
"""
FCM = """
[fcm]
service_account_file = "service-account.json"
"""
WEB_PUSH = """
[web_push]
private_key_file = "vapid.pem"
subject = "mailto:push@example.com"
"""
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def pem(key: object) -> bytes:
    assert hasattr(key, "private_bytes")
    raw = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert isinstance(raw, bytes)
    return raw


@pytest.fixture(scope="module")
def service_account() -> str:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "shop",
            "private_key": pem(key).decode(),
            "client_email": "push@shop.example",
            "token_uri": "https://oauth.example/token",
        }
    )


@pytest.fixture
def folder(tmp_path: Path, service_account: str) -> Path:
    (tmp_path / "AuthKey.p8").write_bytes(pem(generate_private_key(SECP256R1())))
    (tmp_path / "vapid.pem").write_bytes(pem(generate_private_key(SECP256R1())))
    (tmp_path / "service-account.json").write_text(service_account)
    return tmp_path


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
async def lanes(folder: Path, clock: ManualClock) -> AsyncIterator[FolderLanes]:
    lanes = FolderLanes(folder, clock=clock)
    yield lanes
    await lanes.aclose()


def write(folder: Path, text: str, *, app_id: str = APP) -> None:
    (folder / f"{app_id}.toml").write_text(text)


def apns(lanes: Lanes) -> Lane:
    return lanes.lane(APP, Provider.APNS, Environment.PRODUCTION)


def fcm(lanes: Lanes) -> Lane:
    return lanes.lane(APP, Provider.FCM, Environment.PRODUCTION)


def web_push(lanes: Lanes) -> Lane:
    return lanes.lane(APP, Provider.WEB_PUSH, Environment.PRODUCTION)


async def reason_of(lane: Lane) -> str:
    """Why an unusable lane does not send."""
    assert isinstance(lane, UnusableLane)
    row = TargetColumns(ids=[uuid4()], tokens=[PushToken("t")], platforms=[Platform.IOS])
    answers = await lane.send(Message(title="x"), row, expires_at=NOW + timedelta(hours=1))
    assert Verdict(answers.verdicts[0]) is Verdict.MISCONFIGURED
    assert answers.sent_at == [None]
    return answers.reasons[0]


def test_lanes_are_named_after_provider_app_and_environment(
    folder: Path, lanes: FolderLanes
) -> None:
    write(folder, APNS + FCM + WEB_PUSH)
    names = [apns(lanes).name, fcm(lanes).name, web_push(lanes).name]
    assert names == [
        f"apns/{APP}/production",
        f"fcm/{APP}/production",
        f"web_push/{APP}/production",
    ]
    assert lanes.problems() == []


def test_a_lane_is_the_same_until_its_credential_changes(folder: Path, lanes: FolderLanes) -> None:
    write(folder, APNS)
    assert apns(lanes) is apns(lanes)


def test_only_apns_has_environments(folder: Path, lanes: FolderLanes) -> None:
    write(folder, APNS + FCM)
    assert lanes.lane(APP, Provider.FCM, Environment.SANDBOX) is fcm(lanes)
    sandbox = lanes.lane(APP, Provider.APNS, Environment.SANDBOX)
    assert isinstance(sandbox, UnusableLane)
    assert sandbox.name == f"apns/{APP}/sandbox"


async def test_without_a_credential_rows_are_misconfigured(lanes: FolderLanes) -> None:
    assert await reason_of(apns(lanes)) == "NO_CREDENTIAL"


@pytest.mark.parametrize("app_id", ["../secrets", "a/b", "..", "", "/etc/passwd"])
async def test_an_app_id_that_is_no_file_name_reads_nothing(folder: Path, app_id: str) -> None:
    inside = folder / "inside"
    inside.mkdir()
    write(folder, APNS, app_id="secrets")
    nested = FolderLanes(inside, clock=ManualClock(NOW))
    lane = nested.lane(app_id, Provider.APNS, Environment.PRODUCTION)
    assert await reason_of(lane) == "NO_CREDENTIAL"


async def test_a_broken_section_concerns_its_own_lane_only(
    folder: Path, lanes: FolderLanes
) -> None:
    write(folder, APNS.replace("TEAM123456", "short") + FCM + WEB_PUSH)
    assert await reason_of(apns(lanes)) == "BAD_CREDENTIAL"
    assert not isinstance(fcm(lanes), UnusableLane)
    assert not isinstance(web_push(lanes), UnusableLane)
    (problem,) = lanes.problems()
    assert problem.startswith(f"{APP}.toml: apns.production.team_id: ")
    assert "short" not in problem


def test_a_key_that_is_missing_and_one_that_is_not_known_are_told_in_plain_words(
    folder: Path, lanes: FolderLanes
) -> None:
    (folder / f"{APP}.toml").write_text('[fcm]\nservice_acount_file = "account.json"\n')
    (problem,) = lanes.problems()
    assert f"{APP}.toml: fcm.service_account_file: is required" in problem
    assert f"{APP}.toml: fcm.service_acount_file: is not a known key" in problem


def test_every_problem_of_a_section_is_told_at_once(folder: Path, lanes: FolderLanes) -> None:
    write(folder, '[web_push]\nsubject = "me"\norigin = "https://a.example"\n')
    (problem,) = lanes.problems()
    for key in ("web_push.private_key_file", "web_push.subject", "web_push.origin"):
        assert key in problem


@pytest.mark.parametrize(
    ("origin", "rule"),
    [
        ("http://a.example", "https"),
        ("https://a.example/path", "no path"),
        ("https://user@a.example", "https://host"),
        ("a.example", "https"),
    ],
)
def test_an_origin_is_https_host_and_port(
    folder: Path, lanes: FolderLanes, origin: str, rule: str
) -> None:
    write(folder, APNS + f'origin = "{origin}"\n')
    (problem,) = lanes.problems()
    assert "apns.production.origin" in problem
    assert rule in problem


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("AuthKey.p8", None, "key_file: cannot read AuthKey.p8: No such file"),
        ("AuthKey.p8", b"secret text", "is not an unencrypted private key"),
        ("AuthKey.p8", pem(generate_private_key(SECP384R1())), "holds no P-256 key"),
        ("vapid.pem", b"secret text", "private_key_file: vapid.pem is not"),
        ("service-account.json", b'{"private": "secret text"}', "service_account_file: service-"),
        ("service-account.json", b"[secret text", "service_account_file: service-"),
    ],
)
async def test_a_key_file_that_cannot_be_used_is_told_without_its_content(
    folder: Path, lanes: FolderLanes, name: str, content: bytes | None, said: str
) -> None:
    write(folder, APNS + FCM + WEB_PUSH)
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    (problem,) = lanes.problems()
    assert said in problem
    assert "secret text" not in problem
    made = (apns(lanes), fcm(lanes), web_push(lanes))
    assert sum(isinstance(lane, UnusableLane) for lane in made) == 1


async def test_a_file_that_is_no_toml_stops_the_apps_lanes(
    folder: Path, lanes: FolderLanes
) -> None:
    write(folder, "[apns.production\n")
    write(folder, APNS, app_id="other")
    assert await reason_of(apns(lanes)) == "BAD_CREDENTIAL"
    assert not isinstance(lanes.lane("other", Provider.APNS, Environment.PRODUCTION), UnusableLane)
    (problem,) = lanes.problems()
    assert problem.startswith(f"{APP}.toml: cannot be read: ")


def test_a_section_that_nobody_knows_is_told(folder: Path, lanes: FolderLanes) -> None:
    write(folder, APNS.replace("production", "prod") + "[gcm]\n")
    (problem,) = lanes.problems()
    assert problem == f"{APP}.toml: unknown: apns.prod, gcm"


async def test_a_credential_can_be_added_without_a_restart(
    folder: Path, lanes: FolderLanes, clock: ManualClock
) -> None:
    assert isinstance(apns(lanes), UnusableLane)
    write(folder, APNS)
    assert isinstance(apns(lanes), UnusableLane)  # looked at less than a second ago
    clock.advance(1)
    assert not isinstance(apns(lanes), UnusableLane)


async def test_a_changed_key_gives_a_new_lane_and_leaves_the_others(
    folder: Path, lanes: FolderLanes, clock: ManualClock
) -> None:
    write(folder, APNS + FCM)
    before = apns(lanes), fcm(lanes)
    key_file = folder / "AuthKey.p8"
    key_file.write_bytes(pem(generate_private_key(SECP256R1())))
    os.utime(key_file, ns=(1, 1))
    clock.advance(1)
    after = apns(lanes), fcm(lanes)
    assert after[0] is not before[0]
    assert after[1] is before[1]
    await asyncio.sleep(0)  # the old lane closes: nothing was under way
    row = TargetColumns(ids=[uuid4()], tokens=[PushToken("t")], platforms=[Platform.IOS])
    answers = await before[0].send(Message(title="x"), row, expires_at=NOW + timedelta(days=1))
    assert answers.reasons == ["NOT_SENT"]


async def test_a_removed_credential_takes_its_lane_along(
    folder: Path, lanes: FolderLanes, clock: ManualClock
) -> None:
    write(folder, APNS + FCM)
    assert not isinstance(apns(lanes), UnusableLane)
    write(folder, FCM)
    clock.advance(1)
    assert await reason_of(apns(lanes)) == "NO_CREDENTIAL"
    assert not isinstance(fcm(lanes), UnusableLane)


def test_a_message_that_fits_everywhere_passes(lanes: FolderLanes) -> None:
    lanes.check(Message(title="x", body="y" * 3_000))


def test_a_message_too_large_names_every_provider_that_would_refuse_it(
    lanes: FolderLanes,
) -> None:
    with pytest.raises(MessageInvalid) as refused:
        lanes.check(Message(body="y" * 4_500))
    rules = [violation.rule for violation in refused.value.violations]
    assert [violation.field for violation in refused.value.violations] == ["message"] * 3
    for provider, rule in zip(("APNs", "FCM", "Web Push"), rules, strict=True):
        assert provider in rule


CERTIFICATE = """
[apns.production]
certificate_file = "push.pem"
certificate_key_file = "push-key.pem"
topic = "com.example.shop"
"""


def write_certificate(
    folder: Path, *, begins: datetime = NOW - timedelta(days=1), ends: datetime = NOW + HOUR
) -> None:
    """A certificate that proves itself, and its key."""
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.USER_ID, APP)])
    builder = x509.CertificateBuilder(issuer_name=name, subject_name=name)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(begins).not_valid_after(ends)
    certificate = builder.sign(key, SHA256())
    (folder / "push.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "push-key.pem").write_bytes(pem(key))


def test_a_certificate_makes_a_lane(folder: Path, lanes: FolderLanes) -> None:
    write_certificate(folder)
    write(folder, CERTIFICATE)
    assert lanes.problems() == []
    assert not isinstance(apns(lanes), UnusableLane)


@pytest.mark.parametrize(
    ("begins", "ends", "said"),
    [
        (NOW - 2 * HOUR, NOW, "certificate_file: push.pem ended at 2026-11-21 12:00 UTC"),
        (NOW + HOUR, NOW + 2 * HOUR, "certificate_file: push.pem begins at 2026-11-21 13:00 UTC"),
    ],
)
def test_a_certificate_outside_its_time_is_not_used(
    folder: Path, lanes: FolderLanes, begins: datetime, ends: datetime, said: str
) -> None:
    write_certificate(folder, begins=begins, ends=ends)
    write(folder, CERTIFICATE)
    (problem,) = lanes.problems()
    assert said in problem
    assert isinstance(apns(lanes), UnusableLane)


def test_a_certificate_needs_its_own_key(folder: Path, lanes: FolderLanes) -> None:
    write_certificate(folder)
    (folder / "push-key.pem").write_bytes(pem(generate_private_key(SECP256R1())))
    write(folder, CERTIFICATE)
    (problem,) = lanes.problems()
    assert "certificate_key_file: push-key.pem is not the unencrypted key of push.pem" in problem


@pytest.mark.parametrize(
    "section",
    [
        APNS + CERTIFICATE.replace("[apns.production]\n", "").replace("topic", "#"),
        APNS.replace("team_id", "#"),
        CERTIFICATE.replace("certificate_key_file", "#"),
        '[apns.production]\ntopic = "com.example.shop"\n',
    ],
    ids=["both", "half a token key", "half a certificate", "neither"],
)
def test_apns_is_told_exactly_one_credential(
    folder: Path, lanes: FolderLanes, section: str
) -> None:
    write_certificate(folder)
    write(folder, section)
    (problem,) = lanes.problems()
    for name in (*TOKEN_FIELDS, *CERTIFICATE_FIELDS):
        assert name in problem


async def test_a_certificate_that_has_ended_is_no_outage(
    folder: Path, lanes: FolderLanes, clock: ManualClock
) -> None:
    write_certificate(folder, ends=NOW + HOUR)
    write(folder, CERTIFICATE)
    lane = apns(lanes)
    clock.advance(3_600)
    row = TargetColumns(ids=[uuid4()], tokens=[PushToken("t")], platforms=[Platform.IOS])
    answers = await lane.send(Message(title="Hello"), row, expires_at=NOW + 2 * HOUR)
    assert Verdict(answers.verdicts[0]) is Verdict.MISCONFIGURED
    assert answers.reasons == ["BAD_CREDENTIAL"]
    assert isinstance(lane, ProviderLane)
    assert [pause.reason for pause in lane.live().pauses] == ["BAD_CREDENTIAL"]
    await lane.aclose()


async def test_a_push_type_that_needs_a_token_key_is_refused_with_a_certificate(
    folder: Path, lanes: FolderLanes
) -> None:
    write_certificate(folder)
    write(folder, CERTIFICATE)
    row = TargetColumns(ids=[uuid4()], tokens=[PushToken("t")], platforms=[Platform.IOS])
    message = Message(apns=ApnsOverrides(push_type=PushType.LOCATION))
    answers = await apns(lanes).send(message, row, expires_at=NOW + HOUR)
    assert Verdict(answers.verdicts[0]) is Verdict.REFUSED
    assert answers.reasons == ["PUSH_TYPE_NOT_ALLOWED"]
    assert answers.sent_at == [None]


PREVIOUS = """
[[web_push.previous_keys]]
key_id = "older"
private_key_file = "older.pem"
"""


def test_previous_keys_are_loaded_and_watched(
    folder: Path, lanes: FolderLanes, clock: ManualClock
) -> None:
    write(folder, WEB_PUSH + PREVIOUS)
    (problem,) = lanes.problems()
    assert "private_key_file: cannot read older.pem" in problem
    (folder / "older.pem").write_bytes(pem(generate_private_key(SECP256R1())))
    clock.advance(1)
    assert not isinstance(web_push(lanes), UnusableLane)
    assert lanes.problems() == []


def test_key_pairs_need_ids_of_their_own(folder: Path, lanes: FolderLanes) -> None:
    (folder / "older.pem").write_bytes(pem(generate_private_key(SECP256R1())))
    write(folder, WEB_PUSH + 'key_id = "older"\n' + PREVIOUS)
    (problem,) = lanes.problems()
    assert "key_id: each key pair needs one of its own" in problem


@pytest.mark.parametrize("transport", ["multiplex", "reference"])
def test_the_transport_is_a_setting(folder: Path, lanes: FolderLanes, transport: str) -> None:
    chosen = f'transport = "{transport}"\n'
    write(folder, APNS + chosen + FCM + chosen + WEB_PUSH + chosen)
    assert lanes.problems() == []
    for lane in (apns(lanes), fcm(lanes), web_push(lanes)):
        assert not isinstance(lane, UnusableLane)
