"""The answer for a study as a whole: any abnormality, a priority for the worklist, and what to look at first.

A linear model turns the network's features or logits of each picture into one score, the log-odds of any abnormality.
The highest score of a study's pictures is the study's. Up to a threshold the study is ruled out: it is called
unremarkable, which never means normal. The priority is the share of the calibration studies that score lower.

A picture that Candor could not judge must not sink to the end of the worklist. It gets the priority of a typical
abnormal study, and a study with such a picture is not ruled out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from candor.decide.percentiles import POINTS, Floats, Quantiles, rank_among
from candor.files.reader import Record, Text
from candor.study.errors import SettingsError
from candor.study.reasons import Reason
from candor.study.result import AnyAbnormality, Decision, FindingResult, LookFirst, RuleOutAnswer, StudyAnswer

Inputs = Literal["features", "logits"]
"""What the score is computed from: the network's features, or its logits."""

_CLIP: Final = 1e-6  # the least P(absent), so that odds are finite

LOOK_FIRST: Final = 3
"""The most findings that a reader is asked to look at first."""

LOOK_FIRST_FROM: Final = 2.0
"""The least odds, over those at the assumed prevalence, of a finding that a reader is asked to look at first."""

NOT_TO_BE_JUDGED: Final = frozenset(
    {
        Reason.DUPLICATE,
        Reason.OWN_RESULT,
        Reason.NOT_AN_IMAGE,
        Reason.NOT_RADIOGRAPHY,
        Reason.FOR_PROCESSING,
        Reason.NOT_CHEST,
        Reason.NOT_FRONTAL,
    }
)
"""Reasons of refusal for files that are no frontal chest radiographs, or are judged in another file."""


@dataclass(frozen=True, slots=True)
class RuleOut:
    """A threshold of the score, and what it promises.

    Parameters
    ----------
    max_missed
        Largest share of the abnormal studies that may be called unremarkable, in (0, 1).
    confidence
        Probability, over the draw of the patients of the fit, that the threshold keeps the promise, in (0, 1).
    threshold
        The highest score that is ruled out; None where the cases of the fit support none.
    """

    max_missed: Annotated[float, Field(gt=0, lt=1)]
    confidence: Annotated[float, Field(gt=0, lt=1)]
    threshold: float | None

    @property
    def text(self) -> str:
        """The promise in words."""
        return (
            f"at most {100 * self.max_missed:g}% of the abnormal studies are called unremarkable, with "
            f"{100 * self.confidence:g}% confidence"
        )


@dataclass(frozen=True, slots=True, eq=False)
class JudgedImage:
    """A picture that Candor judged.

    Parameters
    ----------
    sop_instance_uid
        SOP Instance UID (0008,0018).
    view
        View Position (0018,5101); "" where it is not stated.
    score
        The score of :meth:`StudyModel.score`.
    results
        The results of its findings.
    """

    sop_instance_uid: str
    view: str
    score: float
    results: tuple[FindingResult, ...]


@dataclass(frozen=True, slots=True, eq=False)
class StudyModel:
    """The fitted values of the answer for a study.

    Parameters
    ----------
    inputs
        What the score is computed from.
    weights
        ``(features,)`` or ``(findings,)`` float64.
    intercept
        Added to the weighted sum, in log-odds.
    normal, abnormal
        ``(POINTS,)``: the quantiles of the scores of normal and of abnormal calibration studies, rising.
    prevalence
        The share of abnormal studies that the priority assumes, in (0, 1).
    rule_outs
        The thresholds, each with its promise.
    views
        The View Positions of the pictures that the thresholds were fitted to; no other view is ruled out.
    description
        One line: what the model was fitted to.
    fitted_to
        The site or the data set whose patients it was fitted to; None where it is not known.
    """

    inputs: Inputs
    weights: Floats
    intercept: float
    normal: Floats
    abnormal: Floats
    prevalence: float
    rule_outs: tuple[RuleOut, ...]
    views: frozenset[str]
    description: str
    fitted_to: str | None = None

    def score(self, logits: NDArray[np.floating], features: NDArray[np.floating]) -> float:
        """Return the score of one picture, in log-odds.

        Parameters
        ----------
        logits
            ``(findings,)``.
        features
            ``(channels,)``.
        """
        values = features if self.inputs == "features" else logits
        return float(np.asarray(values, np.float64) @ self.weights + self.intercept)

    def priority(self, score: float) -> float:
        """Return the share of the calibration studies that score lower, in percent, at the assumed prevalence."""
        normal, abnormal = rank_among(self.normal, score), rank_among(self.abnormal, score)
        return (1 - self.prevalence) * normal + self.prevalence * abnormal

    @property
    def priority_of_not_judged(self) -> float:
        """The priority of a picture that was not judged: that of the median abnormal study."""
        return self.priority(float(self.abnormal[POINTS // 2]))

    def rule_out(self, max_missed: float | None) -> RuleOut | None:
        """Return the threshold with a promise; None for no promise.

        Raises
        ------
        SettingsError
            The model was not fitted to that promise.
        """
        if max_missed is None:
            return None
        found = next((promise for promise in self.rule_outs if promise.max_missed == max_missed), None)
        if found is None:
            fitted = ", ".join(f"{promise.max_missed:g}" for promise in self.rule_outs) or "none"
            raise SettingsError(
                f"rule_out_missed is {max_missed:g}, but the bundle was fitted to {fitted}; take one of these or null, "
                "or fit it again (python -m training fit-study-answer)"
            )
        return found

    def describe(self, max_missed: float | None) -> str:
        """Return one line for the report: what the model was fitted to, and the promise that counts."""
        promise = self.rule_out(max_missed)
        if promise is None:
            return f"{self.description}; nothing is ruled out"
        if promise.threshold is None:
            return f"{self.description}; nothing is ruled out: the cases of the fit support no threshold"
        return f"{self.description}; ruled out: {promise.text}"

    def answer(self, judged: Sequence[JudgedImage], *, not_judged: int, max_missed: float | None) -> StudyAnswer:
        """Return the answer for a study.

        Parameters
        ----------
        judged
            Its judged pictures.
        not_judged
            The number of pictures that should have been judged and were not.
        max_missed
            The promise that counts; None rules nothing out.
        """
        whole = bool(judged) and not not_judged
        covered = whole and all(image.view in self.views for image in judged)
        present = any(result.decision is Decision.PRESENT for image in judged for result in image.results)
        score = max((image.score for image in judged), default=None)
        rule_outs = tuple(
            RuleOutAnswer(
                promise.max_missed,
                promise.confidence,
                score is not None
                and covered
                and not present
                and promise.threshold is not None
                and score <= promise.threshold,
            )
            for promise in self.rule_outs
        )
        ruled_out = any(answer.ruled_out for answer in rule_outs if answer.max_missed == max_missed)
        priorities = [self.priority(image.score) for image in judged]
        if not whole:
            priorities.append(self.priority_of_not_judged)
        any_abnormality = AnyAbnormality.RULED_OUT if ruled_out else AnyAbnormality.NOT_RULED_OUT
        return StudyAnswer(
            any_abnormality=any_abnormality if judged else AnyAbnormality.NOT_JUDGED,
            score=score,
            priority=max(priorities),
            look_first=() if ruled_out else look_first(judged),
            rule_outs=rule_outs,
            max_missed=max_missed,
        )


def look_first(judged: Sequence[JudgedImage]) -> tuple[LookFirst, ...]:
    """Return the findings to look at first: what is present, then those farthest above their prevalence.

    A finding that is not present is only named from odds of :data:`LOOK_FIRST_FROM` times those at its prevalence.
    """
    found = [
        (result.decision is Decision.PRESENT, _look(image, result)) for image in judged for result in image.results
    ]
    wanted = [(present, look) for present, look in found if present or look.odds_ratio >= LOOK_FIRST_FROM]
    wanted.sort(key=lambda item: (not item[0], -item[1].odds_ratio))
    first = {look.finding: look for _, look in reversed(wanted)}  # of several images the one where it is highest
    return tuple(look for _, look in wanted if first[look.finding] is look)[:LOOK_FIRST]


def _look(image: JudgedImage, result: FindingResult) -> LookFirst:
    return LookFirst(
        finding=result.finding,
        odds_ratio=_odds(result.probability) / _odds(result.prevalence),
        probability=result.probability,
        prevalence=result.prevalence,
        region=result.heatmap.region,
        sop_instance_uid=image.sop_instance_uid,
    )


def _odds(probability: float) -> float:
    return probability / max(1 - probability, _CLIP)


class StudyAnswerFile(Record):
    """The bundle's ``study_answer.json``."""

    description: Text
    weights_sha256: Text
    data: Text | None = None
    inputs: Inputs
    weights: tuple[float, ...]
    intercept: float
    normal: Quantiles
    abnormal: Quantiles
    assumed_prevalence: Annotated[float, Field(gt=0, lt=1)]
    views: tuple[Text, ...]
    rule_out: tuple[RuleOut, ...]

    def model(self) -> StudyModel:
        """Return the fitted values."""
        return StudyModel(
            inputs=self.inputs,
            weights=np.asarray(self.weights, np.float64),
            intercept=self.intercept,
            normal=np.asarray(self.normal, np.float64),
            abnormal=np.asarray(self.abnormal, np.float64),
            prevalence=self.assumed_prevalence,
            rule_outs=self.rule_out,
            views=frozenset(self.views),
            description=self.description,
            fitted_to=self.data,
        )
