"""Tags of imported rows: a list as topics are, and a fact of its own."""

from pathlib import Path

import pytest

from nuncio_cli.imports.formats import Format
from nuncio_cli.imports.mapping import FieldMapping
from nuncio_cli.imports.registration import registration_from
from nuncio_cli.imports.rows import BadValueError
from tests.unit.cli.reading import good, read

CONTENT = {
    Format.CSV: "platform,token,tags\nios,abcd,vip; beta;;vip\nios,abcd,\n",
    Format.NDJSON: '{"platform": "ios", "token": "abcd", "tags": ["vip", "beta", "vip"]}\n'
    '{"platform": "ios", "token": "abcd", "tags": []}\n',
}


@pytest.mark.parametrize("layout", [Format.CSV, Format.NDJSON])
def test_tags_are_read_once_each_and_empty_ones_are_not_told(
    tmp_path: Path, layout: Format
) -> None:
    rows = read(tmp_path / "rows", CONTENT[layout], layout, FieldMapping(topic_separator=";"))
    told, untold = (
        registration_from(good(row).values, app_id="shop", attribute_types={}).facts for row in rows
    )
    assert list(told.tags.tags) == ["vip", "beta"]
    assert not told.HasField("topics")
    assert not untold.HasField("tags")


def test_tags_that_are_no_list_are_refused_by_their_name() -> None:
    with pytest.raises(BadValueError) as refused:
        registration_from(
            {"platform": "ios", "token": "abcd", "tags": 7}, app_id="shop", attribute_types={}
        )
    assert refused.value.field == "tags"
