"""The codes of the objects: Candor's own with their meanings, and those of others that it uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydicom.sr.coding import Code

from candor.dicom.shared import codes
from candor.study.findings import PRIVATE_SCHEME, Finding
from candor.study.reasons import Reason, ReasonKind
from candor.study.result import Disposition
from candor.words.texts import Language, texts_of
from tools.conformance.markdown import code, table

_HEADER = ("code value", "code meaning")
_OF_REASONS = {
    ReasonKind.REFUSAL: "value of REFUSEREASON: why an image is not assessed",
    ReasonKind.DEFERRAL: "value of DEFERREASON: why a finding is deferred",
    ReasonKind.CHECK: "value of REFUSEREASON, DEFERREASON or NOTICE, as the settings say: checks of the picture",
    ReasonKind.NOTICE: "value of NOTICE: what is noticed about an image that is assessed",
}


def private_codes() -> str:
    """Return a table of every code of Candor's scheme, by its use."""
    return table(("code value", "code meaning", "what for"), _private_rows())


def _private_rows() -> Iterator[tuple[str, str, str]]:
    dispositions = {codes.disposition_code(each) for each in Disposition}
    for concept in _constants():
        if concept.scheme_designator == PRIVATE_SCHEME and concept not in dispositions:
            use = "value of USE" if concept == codes.RESEARCH else "concept name"
            yield code(concept.value), concept.meaning, use
    for disposition in Disposition:
        concept = codes.disposition_code(disposition)
        yield code(concept.value), concept.meaning, "value of DISPOSITION"
    for reason in Reason:
        yield code(reason.code), reason.meaning, _OF_REASONS[reason.kind]
    for finding in Finding:
        if finding.code.scheme == PRIVATE_SCHEME:
            yield code(finding.code.value), finding.code.meaning, "a finding without a public code"


def public_codes() -> str:
    """Return a table of the codes of other schemes that are not findings."""
    used = [concept for concept in _constants() if concept.scheme_designator != PRIVATE_SCHEME]
    used += [codes.concept(texts_of(language).code) for language in Language]
    return table(
        ("scheme", "code value", "code meaning"),
        [(concept.scheme_designator, code(concept.value), concept.meaning) for concept in _sorted(used)],
    )


def finding_codes() -> str:
    """Return a table of the findings with their codes and sites."""
    return table(
        ("finding", "site"),
        [(_written(finding.code), _written(finding.site)) for finding in Finding],
    )


def _written(concept: object) -> str:
    value, scheme, meaning = (getattr(concept, name) for name in ("value", "scheme", "meaning"))
    return f'({value}, {scheme}, "{meaning}")'


def _constants() -> list[Code]:
    return [value for value in vars(codes).values() if isinstance(value, Code)]


def _sorted(concepts: Iterable[Code]) -> list[Code]:
    return sorted(set(concepts), key=lambda concept: (concept.scheme_designator, concept.value))
