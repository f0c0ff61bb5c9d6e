"""The sentences about the answer for a study, in the language of the results."""

from __future__ import annotations

from collections.abc import Iterator

from candor.study.result import AnyAbnormality, LookFirst, StudyAnswer
from candor.words.texts import Texts


def answer_lines(texts: Texts, answer: StudyAnswer) -> list[str]:
    """Return the sentences that stand first in a report: any abnormality, the priority, and what to look at first.

    Parameters
    ----------
    texts
        The language.
    answer
        The answer for the study.
    """
    lines = [texts.any_abnormality[answer.any_abnormality], texts.priority.format(priority=round(answer.priority))]
    if answer.look_first:
        reasons = "; ".join(look_first_reason(texts, look) for look in answer.look_first)
        lines.append(texts.look_first.format(findings=reasons))
    return lines


def look_first_reason(texts: Texts, look: LookFirst) -> str:
    """Return why a reader should look at a finding first.

    Parameters
    ----------
    texts
        The language.
    look
        The finding.
    """
    return texts.look_first_finding.format(
        finding=texts.finding(look.finding),
        ratio=_two_digits(look.odds_ratio),
        probability=_two_digits(100 * look.probability),
        prevalence=_two_digits(100 * look.prevalence),
        region=texts.region(look.region),
    )


def _two_digits(value: float) -> str:
    return f"{float(f'{value:.2g}'):g}"


def reference_lines(texts: Texts, answer: StudyAnswer | None) -> Iterator[str]:
    """Yield what the numbers of an answer mean, and what a rule-out promises.

    Parameters
    ----------
    texts
        The language.
    answer
        The answer for the study; None where there is none, and then nothing is said.
    """
    if answer is None:
        return
    yield texts.priority_reference
    if answer.any_abnormality is AnyAbnormality.RULED_OUT and answer.rule_out is not None:
        promise = answer.rule_out
        yield texts.rule_out_promise.format(
            missed=f"{100 * promise.max_missed:g}", confidence=f"{100 * promise.confidence:g}"
        )
