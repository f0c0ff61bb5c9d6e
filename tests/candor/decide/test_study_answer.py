"""The answer for a study: the score, the rule-out and what forbids it, the priority, and what to look at first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from candor.decide.percentiles import POINTS
from candor.decide.study_answer import LOOK_FIRST, JudgedImage, RuleOut, StudyModel, look_first
from candor.study.errors import SettingsError
from candor.study.findings import Finding
from candor.study.result import AnyAbnormality, Decision, FindingResult, Heatmap

MODEL = StudyModel(
    inputs="logits",
    weights=np.array([1.0, 0.5]),
    intercept=-1.0,
    normal=np.linspace(-4, 0, POINTS),
    abnormal=np.linspace(-1, 3, POINTS),
    prevalence=0.25,
    rule_outs=(RuleOut(0.05, 0.9, -2.0), RuleOut(0.10, 0.9, -1.0)),
    views=frozenset({"PA"}),
    description="made up",
)


def finding(which: Finding, probability: float, decision: Decision = Decision.DEFERRED) -> FindingResult:
    heatmap = Heatmap(np.ones((2, 2), np.float32), "left upper zone")
    return FindingResult(which, 0.0, probability, 0.1, 0.5, None, decision, None, heatmap)


def judged(score: float, view: str = "PA", *results: FindingResult, uid: str = "1.2") -> JudgedImage:
    return JudgedImage(uid, view, score, results)


def answered(*images: JudgedImage, not_judged: int = 0, max_missed: float | None = 0.05) -> Any:
    return MODEL.answer(images, not_judged=not_judged, max_missed=max_missed)


def test_the_score_is_a_weighted_sum_of_what_the_model_was_fitted_to() -> None:
    logits, features = np.array([2.0, 4.0], np.float32), np.array([1.0, 1.0], np.float32)
    assert MODEL.score(logits, features) == 3.0
    assert replace(MODEL, inputs="features").score(logits, features) == 0.5


def test_the_priority_is_the_share_of_studies_that_score_lower_at_the_assumed_prevalence() -> None:
    assert MODEL.priority(-5) == 0
    assert MODEL.priority(5) == 100
    assert MODEL.priority(-2.0) == pytest.approx(0.75 * 50)
    assert MODEL.priority(1.0) == pytest.approx(75 + 0.25 * 50)
    rng = np.random.default_rng(0)
    scores = np.where(rng.random(20_000) < 0.25, rng.uniform(-1, 3, 20_000), rng.uniform(-4, 0, 20_000))
    for score in (-3.3, -0.7, 0.4, 2.2):
        assert MODEL.priority(score) == pytest.approx(100 * np.mean(scores < score), abs=1)


def test_the_highest_score_of_a_studys_pictures_counts() -> None:
    several = answered(judged(-3.0), judged(0.5))
    assert several.score == 0.5
    assert several.priority == MODEL.priority(0.5)
    assert several.any_abnormality is AnyAbnormality.NOT_RULED_OUT


def test_a_study_is_ruled_out_up_to_the_threshold_under_the_promise_of_the_site() -> None:
    under_five, under_ten = answered(judged(-2.0)), answered(judged(-1.5))
    assert under_five.any_abnormality is AnyAbnormality.RULED_OUT
    assert [each.ruled_out for each in under_five.rule_outs] == [True, True]
    assert under_ten.any_abnormality is AnyAbnormality.NOT_RULED_OUT
    assert [each.ruled_out for each in under_ten.rule_outs] == [False, True]
    assert answered(judged(-1.5), max_missed=0.10).any_abnormality is AnyAbnormality.RULED_OUT
    assert answered(judged(-9.0), max_missed=None).any_abnormality is AnyAbnormality.NOT_RULED_OUT


def test_what_the_promise_does_not_cover_is_not_ruled_out() -> None:
    present = finding(Finding.MASS, 0.9, Decision.PRESENT)
    for images, not_judged in (
        ([judged(-9.0, "AP")], 0),
        ([judged(-9.0, "")], 0),
        ([judged(-9.0), judged(-9.0, "AP")], 0),
        ([judged(-9.0, "PA", present)], 0),
        ([judged(-9.0)], 1),
    ):
        said = answered(*images, not_judged=not_judged)
        assert said.any_abnormality is AnyAbnormality.NOT_RULED_OUT
        assert not any(each.ruled_out for each in said.rule_outs)
    unsupported = replace(MODEL, rule_outs=(RuleOut(0.05, 0.9, None),))
    said = unsupported.answer([judged(-9.0)], not_judged=0, max_missed=0.05)
    assert said.any_abnormality is AnyAbnormality.NOT_RULED_OUT


def test_what_was_not_judged_does_not_sink_to_the_end_of_the_list() -> None:
    median_abnormal = MODEL.priority(1.0)
    nothing = answered(not_judged=2)
    assert nothing.any_abnormality is AnyAbnormality.NOT_JUDGED
    assert nothing.score is None
    assert nothing.priority == MODEL.priority_of_not_judged == median_abnormal > 75
    assert answered(not_judged=0).priority == median_abnormal  # nothing to judge either
    assert answered(judged(-9.0), not_judged=1).priority == median_abnormal
    assert answered(judged(2.5), not_judged=1).priority == MODEL.priority(2.5) > median_abnormal


def test_present_findings_come_first_then_those_farthest_above_their_prevalence() -> None:
    results = (
        finding(Finding.MASS, 0.3),
        finding(Finding.EFFUSION, 0.6),
        finding(Finding.NODULE, 0.12),
        finding(Finding.EDEMA, 0.15, Decision.PRESENT),
        finding(Finding.HERNIA, 0.25),
    )
    looks = look_first([judged(0.0, "PA", *results)])
    assert [look.finding for look in looks] == [Finding.EDEMA, Finding.EFFUSION, Finding.MASS]
    assert len(looks) == LOOK_FIRST
    assert looks[1].odds_ratio == pytest.approx((0.6 / 0.4) / (0.1 / 0.9))
    assert (looks[1].probability, looks[1].prevalence, looks[1].region) == (0.6, 0.1, "left upper zone")
    assert look_first([judged(0.0, "PA", finding(Finding.MASS, 0.12))]) == ()  # hardly above its prevalence


def test_a_finding_is_named_once_for_the_image_where_it_is_likeliest() -> None:
    one = judged(0.0, "PA", finding(Finding.MASS, 0.3), finding(Finding.EFFUSION, 0.5), uid="1.1")
    two = judged(0.0, "PA", finding(Finding.MASS, 0.4), finding(Finding.EFFUSION, 0.5), uid="1.2")
    looks = look_first([one, two])
    assert [(look.finding, look.sop_instance_uid) for look in looks] == [
        (Finding.EFFUSION, "1.1"),
        (Finding.MASS, "1.2"),
    ]


def test_a_certain_finding_has_finite_odds() -> None:
    (look,) = look_first([judged(0.0, "PA", finding(Finding.MASS, 1.0))])
    assert np.isfinite(look.odds_ratio)


def test_nothing_is_named_where_the_study_is_ruled_out() -> None:
    image = judged(-9.0, "PA", finding(Finding.MASS, 0.4))
    assert answered(image).look_first == ()
    assert [look.finding for look in answered(image, max_missed=None).look_first] == [Finding.MASS]


def test_the_description_says_what_is_promised() -> None:
    assert MODEL.describe(0.05).endswith(
        "ruled out: at most 5% of the abnormal studies are called unremarkable, with 90% confidence"
    )
    assert MODEL.describe(None) == "made up; nothing is ruled out"
    assert "support no threshold" in replace(MODEL, rule_outs=(RuleOut(0.05, 0.9, None),)).describe(0.05)


def test_a_promise_that_the_bundle_was_not_fitted_to_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"rule_out_missed is 0\.2, but the bundle was fitted to 0\.05, 0\.1"):
        MODEL.rule_out(0.2)
