"""A bench's report: measures under stable names, a ratio only beside a yardstick, and broken claims that count."""

import msgspec

from infra.bench.report import Report


def test_a_measure_has_a_ratio_where_there_is_a_yardstick() -> None:
    report = Report(bench="store")
    report.add("commands_1024", 20_000, unit="1/s", better="higher", yardstick=800)
    report.add("p99_ms_64", 9.5, unit="ms", better="lower")
    document = msgspec.json.decode(msgspec.json.encode(report.as_document()))
    assert document["measures"] == {
        "commands_1024": {"ours": 20_000, "yardstick": 800, "ratio": 25, "better": "higher", "unit": "1/s"},
        "p99_ms_64": {"ours": 9.5, "yardstick": None, "ratio": None, "better": "lower", "unit": "ms"},
    }


def test_only_claims_that_do_not_hold_break_a_report() -> None:
    report = Report(bench="store")
    report.check("every command is there once", holds=True)
    assert report.broken == []
    report.check("the chain holds", holds=False)
    assert report.broken == ["the chain holds"]
