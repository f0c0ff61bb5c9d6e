"""Write the figures on the page about the learned gate, between two marks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from candor.study.errors import SettingsError
from training.learned_gate.evidence import Evidence
from training.learned_gate.judge import Judged
from training.markdown import alone, table, with_interval

START: Final = "<!-- figures: written by the command below -->"
END: Final = "<!-- end of the figures -->"

_HEADER: Final = (
    "sees the classifier's log-odds",
    "wrong answers weigh as much as right ones",
    "AUC of telling wrong from right",
    "AUGRC x 1000",
    "less that of confidence x 1000",
    "missed at 90% coverage",
    "active",
)


def figures(variants: Sequence[Judged], evidence: Evidence, command: str) -> str:
    """Return the figures of the variants as Markdown.

    Parameters
    ----------
    variants
        At least one.
    evidence
        The images that they were fitted to, and measured on out of fold.
    command
        The command that made the figures.
    """
    return "\n\n".join(_parts(variants, evidence, command))


def _parts(variants: Sequence[Judged], evidence: Evidence, command: str) -> Iterable[str]:
    yield f"    {command}"
    yield (
        f"{_counts('Fitted to, and measured out of fold on,', evidence)} 95% intervals are those of a bootstrap of the "
        "patients; the AUC is the mean over the findings, AUGRC is over all answers."
    )
    yield table(_HEADER, [_confidence(variants[0]), *map(_row, variants)])
    yield "\n".join(f"- {_name(judged)}: {judged.verdict.text}." for judged in variants)


def _counts(verb: str, evidence: Evidence) -> str:
    images, patients = len(evidence.labels), len(set(evidence.patients.tolist()))
    wrong, known = evidence.wrong.sum(), evidence.known.sum()
    return f"{verb} {images} images of {patients} patients: {known} answers, {wrong} of them wrong."


def _name(judged: Judged) -> str:
    prior = "with" if judged.options.prior else "without"
    return f"{prior} the log-odds, {'balanced' if judged.options.balanced else 'unbalanced'}"


def _confidence(judged: Judged) -> list[str]:
    """Return the row of calibrated confidence, which is the same for all variants."""
    found: dict[str, Any] = judged.verdict.figures
    told, area = judged.tells_wrong["confidence"], found["augrc"]["confidence"]
    return ["calibrated confidence", "", with_interval(told), _thousandths(area), "", _missed(found, "confidence"), ""]


def _row(judged: Judged) -> list[str]:
    found: dict[str, Any] = judged.verdict.figures
    return [
        _yes(judged.options.prior),
        _yes(judged.options.balanced),
        with_interval(judged.tells_wrong["learned"]),
        _thousandths(found["augrc"]["learned"]),
        _thousandths(found["augrc_difference"]),
        _missed(found, "learned"),
        _yes(judged.verdict.active),
    ]


def _thousandths(estimate: dict[str, float] | None) -> str:
    if estimate is None:
        return alone(None)
    value, low, high = (f"{1000 * estimate[end]:.2f}" for end in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _missed(found: dict[str, Any], signal: str) -> str:
    return f"{list(found['missed_at_coverage'][signal].values())[-1]:.1f}"


def _yes(truth: bool) -> str:
    return "yes" if truth else "no"


def write_figures(page: Path, text: str) -> None:
    """Put figures between the marks of a page.

    Parameters
    ----------
    page
        A Markdown file that has both marks.
    text
        Markdown; it replaces what is between the marks.

    Raises
    ------
    SettingsError
        The page cannot be read, or does not have both marks in order.
    """
    try:
        whole = page.read_text()
    except OSError as error:
        raise SettingsError(f"{page} cannot be read ({error.strerror}); name a page with marks for figures") from error
    before, start, rest = whole.partition(START)
    _, end, after = rest.rpartition(END)
    if not start or not end:
        raise SettingsError(f"{page} has no place for figures; add the lines {START} and {END}")
    page.write_text(f"{before}{START}\n\n{text}\n\n{END}{after}")
