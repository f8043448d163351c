"""Exports of Azure Notification Hubs: what is a record, and what becomes of it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio_cli.imports.azure_records import MAX_RECORD, records
from nuncio_cli.imports.formats import Format
from nuncio_cli.imports.rows import BadRow, Row
from tests.unit.cli.reading import UUID, bad, good, read


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rows"


AZURE_NAMESPACE = 'xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"'


def test_azure_registrations_one_per_line_or_spread_out(file: Path) -> None:
    content = (
        f"<AppleRegistrationDescription {AZURE_NAMESPACE}><Tags>news,$InstallationId:{{{UUID}}},"
        "$UserId:{u-1},a b</Tags><RegistrationId>1-2</RegistrationId>"
        "<DeviceToken>ABCD</DeviceToken></AppleRegistrationDescription>\n"
        '<entry xmlns="http://www.w3.org/2005/Atom">\n  <content type="application/xml">\n'
        f"    <FcmV1TemplateRegistrationDescription {AZURE_NAMESPACE}>\n"
        "      <FcmV1RegistrationId>token:1</FcmV1RegistrationId>\n"
        "      <BodyTemplate><![CDATA[{}]]></BodyTemplate>\n"
        "    </FcmV1TemplateRegistrationDescription>\n  </content>\n</entry>\n"
    )
    apple, android = map(good, read(file, content, Format.AZURE))
    assert apple.values == {
        "platform": "ios",
        "provider": "apns",
        "token": "ABCD",
        "topics": ["news", "a_b"],
        "installation_id": UUID,
        "user_id": "u-1",
    }
    assert android.line == 4
    assert android.values == {"platform": "android", "provider": "fcm", "token": "token:1"}


def test_azure_installations_are_json_lines(file: Path) -> None:
    content = (
        f'{{"installationId": "{UUID}", "platform": "apns", "pushChannel": "ab", '
        '"tags": ["news"], "userId": "u"}\n'
        '{"installationId": "joe", "platform": "browser", "pushChannel": '
        '{"endpoint": "https://e", "p256dh": "p", "auth": "a"}}\n'
        '{"platform": "fcmV1", "pushChannel": "t", "pushChannelExpired": true}\n'
        '{"platform": "wns", "pushChannel": "t"}\n'
    )
    phone, browser, expired, windows = read(file, content, Format.AZURE)
    assert good(phone).values["installation_id"] == UUID
    assert good(phone).values["topics"] == ["news"]
    assert "installation_id" not in good(browser).values
    assert good(browser).values["endpoint"] == "https://e"
    assert bad(expired).field == "token"
    assert bad(windows).field == "platform"


@pytest.mark.parametrize(
    "record",
    [
        '<!DOCTYPE x [<!ENTITY a "b">]>',
        "<AppleRegistrationDescription><Tags></AppleRegistrationDescription>",
        "<AppleRegistrationDescription><!ENTITY x></AppleRegistrationDescription>",
        "<AppleRegistrationDescription><DeviceToken>ab</DeviceToken>",
        "<table><row/></table>",
        "<AppleRegistration",
        "Tags,DeviceToken",
    ],
)
def test_azure_text_that_is_no_export_is_rejected_with_its_text(file: Path, record: str) -> None:
    rows = read(file, record + "\n", Format.AZURE)
    assert len(rows) == 1
    assert (bad(rows[0]).line, bad(rows[0]).raw) == (1, record)


def apple(token: str) -> str:
    return (
        f"<AppleRegistrationDescription {AZURE_NAMESPACE}><DeviceToken>{token}</DeviceToken>"
        "</AppleRegistrationDescription>"
    )


def test_a_feed_on_one_line_gives_all_its_records(file: Path) -> None:
    entries = "".join(
        f'<entry><id>urn:{n}</id><title type="text">{n}</title><updated>2026-11-21</updated>'
        f'<content type="application/xml">{apple(f"{n:064x}")}</content></entry>'
        for n in range(5)
    )
    feed = f'<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom">{entries}</feed>'
    rows = read(file, feed, Format.AZURE)
    assert [good(row).values["token"] for row in rows] == [f"{n:064x}" for n in range(5)]


def test_what_stands_between_records_of_one_line_is_rejected_and_not_passed_over(
    file: Path,
) -> None:
    content = f"{apple('aa')}lost{apple('bb')} <AppleRegistrationDescription/>{apple('cc')}\n{{}}\n"
    rows = read(file, content, Format.AZURE)
    tokens = [row.values.get("token") for row in rows if isinstance(row, Row)]
    assert tokens == ["aa", "bb", None, "cc"]
    refused = [(row.line, row.raw) for row in rows if isinstance(row, BadRow)]
    assert refused == [(1, "lost"), (2, "{}")]


def test_a_record_without_an_end_does_not_swallow_the_next_one(file: Path) -> None:
    content = f"<AppleRegistrationDescription><DeviceToken>aa\n{apple('bb')}\n"
    first, second = read(file, content, Format.AZURE)
    assert bad(first).raw == "<AppleRegistrationDescription><DeviceToken>aa"
    assert (second.line, good(second).values["token"]) == (2, "bb")


@given(size=st.integers(min_value=1, max_value=400))
def test_records_are_the_same_however_the_file_is_cut_into_pieces(size: int) -> None:
    text = f"<feed><id>x</id>{apple('aa')}lost\n{{}}\n<entry>{apple('bb')}</entry></feed>\n<br"
    pieces = (text[start : start + size] for start in range(0, len(text), size))
    assert list(records(pieces)) == list(records([text]))
    assert len(list(records([text]))) == 5


def test_a_record_that_never_ends_is_given_in_bounded_parts() -> None:
    chunk = 1 << 16
    chunks = ["<AppleRegistrationDescription>", *["x" * chunk] * 50]
    parts = [part for _, part in records(chunks)]
    assert "".join(parts) == "".join(chunks)
    assert max(map(len, parts)) <= MAX_RECORD + chunk
