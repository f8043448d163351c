"""What refusals tell a program."""

from nuncio_targeting.domain.errors import AudienceInvalid, Problem, SegmentInUse


def test_an_invalid_audience_names_the_place_and_what_was_expected() -> None:
    error = AudienceInvalid(Problem("no", "yes", position=7, line=2, column=3))
    assert error.metadata == {"line": "2", "column": "3", "position": "7", "expected": "yes"}
    assert str(error).endswith("line 2, column 3: no; expected yes")


def test_a_problem_inside_a_segment_names_the_segment() -> None:
    error = AudienceInvalid(Problem("no", "yes")).in_segment("vip")
    assert error.metadata["segment"] == "vip"
    assert error.problems[0].segment == "vip"


def test_a_segment_in_use_names_its_users() -> None:
    error = SegmentInUse(app_id="shop", segment="vip", used_by=["a", "b"])
    assert error.metadata == {"appId": "shop", "segment": "vip", "usedBy": "a,b"}
