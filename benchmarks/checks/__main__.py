"""What all checks of a picture do together: to what is no frontal chest, to chests, to children, to another hospital.

    python -m benchmarks.checks [--data work] [--models models] [--page docs/evidence-checks.md]

Files of DICOM go through the whole application, with the settings as shipped. The pictures of the larger sets go
through the same operators in this process, in the order in which the application composes them; each has a header
that states its patient's age, where that is known, and nothing else.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from benchmarks.checks.figures import RESAMPLES, Outcome, accepted_share, difference, percent, share
from benchmarks.checks.run import (
    ComposedApp,
    audit_of_every_picture,
    check_pictures,
    check_pixels,
    run_application,
)
from benchmarks.checks.sets import CHILD_AGE, LATERAL, Picture, covid, hannover, kermany, nih_adults
from candor import RESEARCH_USE
from candor.decide.gate import Gate
from candor.model.bundle import find_bundle, load_bundle
from candor.settings import load_settings
from candor.study.errors import Refused
from candor.study.reasons import Reason
from candor.words.results_json import FileEntry
from operators.graph.base import CaseOperator
from training.learned_gate.report import write_figures
from training.markdown import table

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PAGE: Final = ROOT / "docs" / "evidence-checks.md"

NOT_CHESTS: Final = frozenset({"Spoksonat__photo.dcm"})
"""In the folder of chests, but a photograph of a film, in colour."""
BROKEN: Final = frozenset({"pydicom__966.dcm"})
"""Its JPEG 2000 stream is malformed; its mended twin is beside it."""
INVERTED: Final = frozenset({"pydicom__JPEG2KLossless_1s_1f_u_16_16.dcm"})
"""Its pixels are black for white, against its header, and upside down."""

LEAST_ACCEPTED: Final = 0.97
MOST_REFUSED: Final = 0.05
MOST_UNLIKE: Final = 0.2
"""Goals for the chests of other hospitals."""
REFUSING: Final = frozenset({Reason.TOO_SMALL, Reason.CONSTANT_PIXELS, Reason.UNLIKE_CHEST})
"""Reasons for which a picture is refused, by the settings as shipped."""
_HEADER: Final = ("file", "outcome", "refused or deferred for", "noticed")

ADULTS: Final = "adults of ChestX-ray14's official test list"


def main() -> None:
    """Read the options, measure, print and write the page."""
    parser = argparse.ArgumentParser(description=f"Measure the checks of a picture. {RESEARCH_USE}.")
    parser.add_argument("--data", type=Path, default=Path("work"), help="holds dicom/, nih/, kermany/ and hannover/")
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="the bundle, or the folder that holds it")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page with marks for the figures")
    options = parser.parse_args()
    text = "\n\n".join(sections(options.data, options.models))
    print(text)
    write_figures(options.page, text)


def sections(data: Path, models: Path) -> Iterable[str]:
    """Measure everything, and lay it out as Markdown."""
    settings, bundle = load_settings(ROOT / "app.yaml"), load_bundle(find_bundle(models))
    yield "    python -m benchmarks.checks --data work"
    yield f"{bundle.name} {bundle.version}, bundle SHA-256 {bundle.sha256}, settings as in `app.yaml`."
    checks = [*ComposedApp(bundle, settings).checks(), audit_of_every_picture(bundle, settings)]
    strange, chest = data / "dicom" / "ood", data / "dicom" / "chest"
    yield from no_chests(strange, run_application(strange, models, settings), checks)
    yield from chests(chest, run_application(chest, models, settings))
    outcomes = {ADULTS: check_pictures(nih_adults(data / "nih"), checks)}
    yield from accepted(outcomes)
    children = {
        f"children, age stated ({CHILD_AGE})": check_pictures(kermany(data / "kermany", CHILD_AGE), checks),
        "children, no age stated": check_pictures(kermany(data / "kermany", ""), checks),
    }
    yield from stopped(outcomes, children)
    sets = elsewhere(data)
    others = {name: check_pictures(pictures, checks) for name, pictures in sets.items()}
    yield from let_through(others)
    laterals = {"views from the side, tagged PA": check_pictures(covid(data / "covid", {LATERAL}), checks)}
    yield from not_frontal(laterals)
    every = outcomes | children | others | laterals
    yield from by_check(every)
    yield from shortcuts(every, bundle.gate, settings.shortcut_limit)


def no_chests(folder: Path, files: Sequence[FileEntry], checks: Sequence[CaseOperator]) -> Iterable[str]:
    """Tell what became of each file with pixels that is no frontal chest, and what its pixels alone would have done."""
    shown = [file for file in files if has_pixels(folder / file.name)]
    missed = [file for file in shown if not codes(file)]
    yield "## What is no frontal chest radiograph"
    yield (
        f"The application over `dicom/ood`: {len(shown)} files with pixels (CT slices, limbs, a dental film). Most are "
        "refused for what their headers say. The last column is what the checks of the pixels say by themselves, had "
        "the header named the chest of an adult."
    )
    yield table(
        (*_HEADER, "by the pixels alone"), [(*_row(file), by_pixels(folder / file.name, checks)) for file in shown]
    )
    yield _goal("every one is refused or deferred", not missed and bool(shown), f"{len(missed)} went through")


def chests(folder: Path, files: Sequence[FileEntry]) -> Iterable[str]:
    """Tell what became of each file that is a frontal chest."""
    true = [f for f in files if f.name not in NOT_CHESTS | BROKEN and has_pixels(folder / f.name)]
    inverted = [file for file in true if file.name in INVERTED]
    upright = [file for file in true if file.name not in INVERTED]
    wrong = [file for file in upright if codes(file)] + [f for f in inverted if Reason.INVERTED.code not in codes(f)]
    yield "## Frontal chest radiographs"
    yield (
        f"The application over `dicom/chest`: {len(true)} files of frontal chests that can be decoded. Left out are "
        "headers without pixels, a malformed JPEG 2000 stream (refused: UNDECODABLE) and a photograph of a film "
        "(refused: NOTXRAY). One file is stored black for white, against its header, and upside down."
    )
    yield table(_HEADER, [_row(file) for file in true])
    yield _goal(
        "all are accepted, and the inverted one is not", not wrong and bool(inverted), f"{len(wrong)} are wrong"
    )


def has_pixels(path: Path) -> bool:
    """Whether a file is DICOM with pixels."""
    try:
        return "PixelData" in dcmread(path, defer_size=1024)
    except InvalidDicomError:
        return False


def codes(file: FileEntry) -> list[str]:
    """List why a file was refused, or deferred as a whole; a duplicate was assessed as another file."""
    refused = [] if file.reason is None or file.outcome == "duplicate" else [file.reason]
    return [note.code for note in [*refused, *file.deferrals]]


def by_pixels(path: Path, checks: Sequence[CaseOperator]) -> str:
    """Say in codes what the checks see in a file's pixels."""
    try:
        found = check_pixels(path, checks)
    except Refused as error:
        return error.reason.code
    return ", ".join(sorted(reason.code for reason in found)) or "accepted"


def _row(file: FileEntry) -> tuple[str, str, str, str]:
    noticed = ", ".join(note.code for note in file.notices)
    return f"`{file.name}`", file.outcome, ", ".join(codes(file)), noticed


def _goal(what: str, met: bool, shortfall: str) -> str:
    return f"Goal ({what}): {'met' if met else f'missed, {shortfall}'}."


def accepted(outcomes: Mapping[str, Outcome]) -> Iterable[str]:
    """Tell which share of the adults is accepted."""
    rows = [(name, *_counts(outcome), percent(accepted_share(outcome))) for name, outcome in outcomes.items()]
    yield "## Adults whom the checks should let through"
    yield (
        f"Intervals, here and below, are those of {RESAMPLES} bootstrap resamples of patients. The limits were set on "
        "these patients; the cards of the checks have the shares out of fold. They are pictures of 384 pixels, and "
        "each header states the age."
    )
    yield table(("pictures", "number", "patients", "accepted"), rows)
    least = min(accepted_share(outcome).value for outcome in outcomes.values())
    yield _goal(f"at least {LEAST_ACCEPTED:.0%} are accepted", least >= LEAST_ACCEPTED, f"{least:.1%}")


def stopped(outcomes: Mapping[str, Outcome], others: Mapping[str, Outcome]) -> Iterable[str]:
    """Tell how much more often children are stopped than the adults."""
    base = outcomes[ADULTS]
    rows = [
        (name, *_counts(outcome), percent(share(outcome)), percent(difference(outcome, base)))
        for name, outcome in others.items()
    ]
    yield "## Children"
    yield (
        "Refused or deferred, and by how much more often than the adults above. The children (Kermany et al. 2018) "
        "were one to five years old."
    )
    yield table(("pictures", "number", "patients", "refused or deferred", "more often than adults"), rows)
    met = all(difference(outcome, base).low > 0 for outcome in others.values())
    yield _goal("more often than adults, with the interval on its side", met, "not all are")


def elsewhere(data: Path) -> dict[str, list[Picture]]:
    """List the frontal chests of other hospitals, each picture once."""
    one = hannover(data / "hannover")
    copies = {picture.path.stem for picture in one}
    return {
        "Hannover, no age stated": one,
        "COVID-19 image data collection, frontal": covid(data / "covid", {"PA", "AP"}, copies),
    }


def let_through(outcomes: Mapping[str, Outcome]) -> Iterable[str]:
    """Tell how often the chests of other hospitals are refused, and deferred as unlike the training images."""
    refused, unlike = (
        {name: outcome.narrowed(reasons) for name, outcome in outcomes.items()}
        for reasons in (REFUSING, {Reason.UNLIKE_TRAINING})
    )
    rows = [
        (name, *_counts(outcome), *(percent(share(of)) for of in (refused[name], unlike[name], outcome)))
        for name, outcome in outcomes.items()
    ]
    yield "## Other hospitals"
    yield "Frontal chests, most of patients with a pneumonia. None was used to fit the familiarity check."
    yield table(("pictures", "number", "patients", "refused", "unlike training", "refused or deferred"), rows)
    for what, found, most in (("refused", refused, MOST_REFUSED), ("unlike training", unlike, MOST_UNLIKE)):
        worst = max(share(outcome).value for outcome in found.values())
        yield _goal(f"at most {most:.0%} are {what}", worst <= most, f"{worst:.1%}")


def not_frontal(outcomes: Mapping[str, Outcome]) -> Iterable[str]:
    """Tell how many pictures that are no frontal chests are stopped."""
    yield "## Chests from the side"
    yield "The COVID-19 image data collection's, as if their headers said PA. None was used to fit a check."
    rows = [(name, *_counts(outcome), int(outcome.stopped.sum())) for name, outcome in outcomes.items()]
    yield table(("pictures", "number", "patients", "refused or deferred"), rows)
    through = sum(int((~outcome.stopped).sum()) for outcome in outcomes.values())
    yield _goal("every one is refused or deferred", not through, f"{through} went through")


def by_check(outcomes: Mapping[str, Outcome]) -> Iterable[str]:
    """Tell for which reasons: a picture may have several."""
    found = [reason for reason in Reason if any(outcome.count(reason) for outcome in outcomes.values())]
    rows = [
        (name, *(f"{outcome.count(reason) / len(outcome.reasons):.1%}" for reason in found))
        for name, outcome in outcomes.items()
    ]
    yield "## By check"
    yield "Share of the pictures refused or deferred for each [reason](reference/reasons.md), be it among others."
    yield table(("pictures", *(reason.code for reason in found)), rows)


def shortcuts(outcomes: Mapping[str, Outcome], gate: Gate, limit: float | None) -> Iterable[str]:
    """Tell what the shortcut audit would stop if the gate answered every finding: the most that it can."""
    if limit is None:
        return
    answered = sum(pair.lo is not None or pair.hi is not None for pair in gate.thresholds.values())
    yield "## The shortcut audit"
    yield (
        "It counts only findings that the gate answers for the picture, and this bundle's gate can answer "
        f"{answered} of {len(gate.thresholds)}. The most that it could do is what it would do were all of them "
        "answered: stop each picture in which blanking marks and borders moves any finding by more than "
        f"{limit:g} in log-odds."
    )
    rows = [
        (
            name,
            f"{np.mean(~np.isnan(outcome.moved)):.1%}",
            f"{np.mean(outcome.moved > limit):.1%}",
            percent(accepted_share(outcome.with_shortcuts(limit))),
        )
        for name, outcome in outcomes.items()
    ]
    yield table(
        ("pictures", "with marks or borders", "one of all findings moved too far", "accepted at the least"), rows
    )


def _counts(outcome: Outcome) -> tuple[int, int]:
    return len(outcome.reasons), len(set(outcome.patients.tolist()))


if __name__ == "__main__":
    main()
