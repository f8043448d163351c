"""The readers: which fields a record of each format gives, and what is rejected where."""

import gzip
from pathlib import Path

import pytest

from nuncio_cli.errors import FileUnusable, MappingInvalid
from nuncio_cli.imports.formats import Format, guess_format, reader_for
from nuncio_cli.imports.mapping import FieldMapping
from nuncio_cli.imports.source import open_source
from tests.unit.cli.reading import UUID, bad, good, read


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rows"


def test_csv_columns_are_known_by_name_or_by_the_mapping(file: Path) -> None:
    mapping = FieldMapping(
        columns={"token": "push", "attributes.plan": "plan"},
        values={"platform": {"iPhone": "ios"}},
        constants={"environment": "sandbox"},
    )
    rows = read(
        file,
        "platform,push,plan,topics,shoe_size\niPhone,abcd,free,news| sport ,44\n",
        Format.CSV,
        mapping,
    )
    assert good(rows[0]).values == {
        "platform": "ios",
        "token": "abcd",
        "attributes.plan": "free",
        "topics": ["news", "sport"],
        "environment": "sandbox",
    }


@pytest.mark.parametrize("layout", [Format.CSV, Format.NDJSON])
def test_constants_fill_what_is_empty_null_or_not_there(file: Path, layout: Format) -> None:
    mapping = FieldMapping(
        constants={"environment": "sandbox"}, values={"environment": {"none": ""}}
    )
    content = {
        Format.CSV: "platform,environment\nios,\nios, \nios,none\nios,production\n",
        Format.NDJSON: '{"environment": null}\n{}\n{"environment": ""}\n'
        '{"environment": "production"}\n',
    }[layout]
    rows = read(file, content, layout, mapping)
    environments = [good(row).values["environment"] for row in rows]
    assert environments == ["sandbox", "sandbox", "sandbox", "production"]


def test_columns_that_mean_nothing_are_named(file: Path) -> None:
    file.write_text("platform,shoe_size\n")
    with open_source(file) as source:
        assert reader_for(Format.CSV, source, FieldMapping()).ignored == {"shoe_size"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_tells_its_delimiter_from_the_header(file: Path, delimiter: str) -> None:
    rows = read(file, f"platform{delimiter}token\nios{delimiter}ab\n", Format.CSV)
    assert good(rows[0]).values == {"platform": "ios", "token": "ab"}


def test_csv_line_numbers_count_lines_inside_quotes(file: Path) -> None:
    content = 'platform,device_model\nios,"two\nlines"\n\nandroid,a,b\nios,c\n'
    first, second, third = read(file, content, Format.CSV)
    assert (first.line, second.line, third.line) == (2, 5, 6)
    assert bad(second).rule == "has 3 cells where the header has 2"
    assert good(third).values["device_model"] == "c"


def test_text_that_is_not_utf8_is_rejected_alone(file: Path) -> None:
    rows = read(file, b"platform,user_id\nios,\xff\nios,ok\n", Format.CSV)
    assert (bad(rows[0]).field, bad(rows[0]).rule) == ("user_id", "is not UTF-8")
    assert good(rows[1]).values["user_id"] == "ok"
    lines = read(file, b'{"user_id": "\xff"}\n', Format.NDJSON)
    assert bad(lines[0]).rule == "is not UTF-8"


def test_a_byte_order_mark_and_gzip_are_passed_over(file: Path) -> None:
    content = gzip.compress("\ufeffplatform,token\nios,ab\n".encode())
    assert good(read(file, content, Format.CSV)[0]).values == {"platform": "ios", "token": "ab"}


def test_ndjson_keeps_types_and_names_nested_objects_by_dots(file: Path) -> None:
    content = (
        '{"platform": "ios", "token": "ab", "topics": ["news"], "user_id": null, '
        '"attributes": {"beta": true, "orders": 3}, "extra": {"a": 1}}\n'
    )
    assert good(read(file, content, Format.NDJSON)[0]).values == {
        "platform": "ios",
        "token": "ab",
        "topics": ["news"],
        "attributes.beta": True,
        "attributes.orders": 3,
    }


def test_ndjson_rejects_what_is_no_object_by_line(file: Path) -> None:
    rows = read(file, '{"platform": "ios"}\n\n[1]\n{oops\n{"topics": [1]}\n', Format.NDJSON)
    assert [row.line for row in rows] == [1, 3, 4, 5]
    assert bad(rows[1]).rule == "is not a JSON object"
    assert bad(rows[2]).rule.startswith("is not JSON")
    assert bad(rows[3]).field == "topics"


@pytest.mark.parametrize("content", ['[\n  {"platform": "ios"}\n]\n', "[{}]", "{\n}\n"])
def test_one_json_document_is_told_to_be_no_ndjson(file: Path, content: str) -> None:
    with pytest.raises(FileUnusable, match="one object in each line"):
        read(file, content, Format.NDJSON)


def test_a_line_that_is_nested_too_deeply_or_too_long_is_rejected_alone(file: Path) -> None:
    deep = '{"a":' * 500 + "1" + "}" * 500
    long = '{"a": "' + "x" * (1 << 20) + '"}'
    rows = read(file, f"{deep}\n{long}\n" + '{"platform": "ios"}\n', Format.NDJSON)
    assert [row.line for row in rows] == [1, 2, 3]
    assert bad(rows[0]).rule == "is nested too deeply"
    assert bad(rows[1]).rule == "is longer than 1 MiB"
    assert good(rows[2]).values == {"platform": "ios"}


@pytest.mark.parametrize("layout", list(Format))
@pytest.mark.parametrize(
    "content", [b"", "platform,token\nios,ab\n".encode("utf-16"), "{}".encode("utf-16-le")]
)
def test_an_empty_or_utf16_file_cannot_be_used(file: Path, layout: Format, content: bytes) -> None:
    with pytest.raises(FileUnusable, match=r"is empty|is UTF-16"):
        read(file, content, layout)


ONESIGNAL_HEADER = (
    "id,identifier,session_count,language,timezone,game_version,device_os,device_type,"
    "device_model,ad_id,tags,last_active,playtime,amount_spent,created_at,invalid_identifier,"
    "badge_count,external_user_id,country,web_auth,web_p256\n"
)


def test_onesignal_subscriptions_become_registrations(file: Path) -> None:
    content = ONESIGNAL_HEADER + (
        f'{UUID},abcd,5,en,-28800,2.3.1,18.1,0,"iPhone16,1",x,'
        '"{""first name"":""Jo"",""2nd"":1}",'
        "2026-11-20 10:00:00,60,0.0,2026-01-01 00:00:00,f,0,u-1,US,,\n"
        f"{UUID},https://fcm.googleapis.com/x,5,de,3600,,Chrome 80,5,Linux,x,,"
        "2026-11-20 10:00:00,60,0.0,2026-01-01 00:00:00,t,0,,CH,YXV0aA,cDI1Ng\n"
    )
    phone, browser = map(good, read(file, content, Format.ONESIGNAL))
    assert phone.values == {
        "platform": "ios",
        "provider": "apns",
        "token": "abcd",
        "installation_id": UUID,
        "user_id": "u-1",
        "language": "en",
        "country": "US",
        "last_seen": "2026-11-20 10:00:00",
        "app_version": "2.3.1",
        "os_version": "18.1",
        "device_model": "iPhone16,1",
        "permission": "granted",
        "attributes.first_name": "Jo",
        "attributes._2nd": "1",
    }
    assert browser.values["endpoint"] == "https://fcm.googleapis.com/x"
    assert (browser.values["p256dh"], browser.values["auth"]) == ("cDI1Ng", "YXV0aA")
    assert browser.values["permission"] == "denied"
    assert "os_version" not in browser.values


def test_onesignal_mail_and_text_message_subscribers_are_rejected(file: Path) -> None:
    row = ["", "a@example.com", "", "", "", "", "", "11", *[""] * 13]
    rows = read(file, ONESIGNAL_HEADER + ",".join(row) + "\n", Format.ONESIGNAL)
    assert bad(rows[0]).field == "platform"


def test_a_file_without_the_columns_of_onesignal_is_no_export_of_it(file: Path) -> None:
    with pytest.raises(FileUnusable, match="identifier"):
        read(file, "platform,token\nios,ab\n", Format.ONESIGNAL)


def test_fixed_layouts_take_no_columns_of_a_mapping(file: Path) -> None:
    with pytest.raises(MappingInvalid):
        read(file, ONESIGNAL_HEADER, Format.ONESIGNAL, FieldMapping(columns={"token": "x"}))


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("a.csv", Format.CSV),
        ("a.ndjson.gz", Format.NDJSON),
        ("a.jsonl", Format.NDJSON),
        ("a.ndjson.rejects", Format.NDJSON),
        ("a.ndjson.gz.dry-run.rejects", Format.NDJSON),
        ("a.csv.rejects", Format.CSV),
        ("export.xml.rejects.ndjson", Format.NDJSON),
    ],
)
def test_the_format_is_guessed_from_the_name(name: str, layout: Format) -> None:
    assert guess_format(Path(name)) is layout


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("columns = 3", "columns"),
        ('[columns]\ntokn = "x"', "tokn"),
        ('[attribute_types]\na = "colour"', "attribute_types.a"),
        ("[colums]", "colums"),
        ("[", "key part"),
    ],
)
def test_a_wrong_mapping_file_is_told_by_name(tmp_path: Path, text: str, names: str) -> None:
    path = tmp_path / "mapping.toml"
    path.write_text(text)
    with pytest.raises(MappingInvalid, match=names):
        FieldMapping.read(path)
