"""The form of benchmark reports."""

import math

from benchmarks.harness import Case, Report, Run


def test_a_case_that_counted_nothing_is_reported_as_such() -> None:
    case = Case("nothing", [Run(items=0, seconds=1, client_cpu=0.5, process_cpu={"registry": 1})])
    report = Report([case])
    assert case.per_second == 0
    assert math.isnan(case.cpu_us_per_item)
    assert report.document()["cases"][0]["items"] == 0
    assert report.table()[1][0][0] == "nothing"
