"""Charts and words: the numbers that the templates draw."""

from __future__ import annotations

import pytest

from gateway.web.content.charts import HEIGHT, WIDTH, hours_chart, share_chart
from gateway.web.content.view import percent, span, tone


def test_bars_are_as_high_as_what_they_count() -> None:
    chart = hours_chart("t", ("in", "out"), ([4, 0, 1], [2, 0, 0]), ("00:00", "01:00", "02:00"))
    heights = {bar.title: bar.height for bar in chart.bars}
    assert heights["00:00: 4 in"] == pytest.approx(2 * heights["00:00: 2 out"])
    assert heights["00:00: 4 in"] == pytest.approx(4 * heights["02:00: 1 in"], abs=0.2)
    assert heights["00:00: 4 in"] == chart.floor - chart.ceiling
    assert chart.top == "4"
    assert all(bar.x + bar.width <= WIDTH and bar.y + bar.height <= HEIGHT for bar in chart.bars)
    assert len(chart.bars) == 3
    assert hours_chart("t", ("in",), ([0],), ("00:00",)).bars == ()


def test_shares_leave_out_days_without_any_and_rules_stay_inside() -> None:
    chart = share_chart("t", [0.0, None, 1.0], ("a", "b", "c"), {"above": 1.3, "below": -0.1})
    assert [bar.title for bar in chart.bars] == ["a: 0%", "c: 100%"]
    assert [point.split(",")[1] for point in chart.line.split()] == [f"{chart.floor:.1f}", f"{chart.ceiling:.1f}"]
    assert dict(chart.rules) == {"above": chart.ceiling, "below": chart.floor}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-3, "0 s"), (59, "59 s"), (60, "1 min"), (7199, "119 min"), (7200, "2 h"), (172800, "2 d"), (100000, "27 h")],
)
def test_spans(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_shares_and_tones() -> None:
    assert [percent(share) for share in (0, 0.0312, 0.0994, 0.0996, 1)] == ["0.0%", "3.1%", "9.9%", "10%", "100%"]
    assert (tone("failed"), tone("absent")) == ("bad", "calm")
