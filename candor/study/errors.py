"""Every error that Candor raises on purpose.

CandorError
├── SettingsError       app.yaml or a command's option cannot be used
├── InputError          the input folder cannot be used
├── OutputError         the output folder cannot be used
├── BundleError         the model bundle is missing, incomplete or does not fit together
├── DataError           training or calibration data cannot be used
├── Refused             one instance cannot be assessed; carries a coded reason
├── ReportError         a result object would not be valid
└── ObjectIncomplete    a result object was written and lacks something; it is in quarantine

An error's text says what is wrong and what to do about it, and never holds a patient's data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from candor.study.reasons import Reason

_NAMED: Final = 5


class CandorError(Exception):
    """The base class of every error that Candor raises on purpose."""


class SettingsError(CandorError):
    """A setting is unknown or impossible."""


class InputError(CandorError):
    """The input folder does not exist, cannot be read or holds no file."""


class OutputError(CandorError):
    """The output folder cannot be written."""


class BundleError(CandorError):
    """The model bundle is missing, incomplete, or its files do not belong together."""


class DataError(CandorError):
    """A data set for training, calibration or evaluation has the wrong layout."""


class ReportError(CandorError):
    """A result object would lack what its template or its IOD requires."""


class ObjectIncomplete(CandorError):
    """A result object lacks something that it must have. It is kept in quarantine and never published.

    Parameters
    ----------
    kind
        What the object is: one of :data:`candor.study.result_object.KINDS`, or ``"note"``.
    missing
        One line for each row of a template or attribute that is missing. It holds no patient's data.
    is_kept
        Whether the file lies in quarantine; False where it could not be moved there.
    """

    def __init__(self, kind: str, missing: Sequence[str], is_kept: bool = True) -> None:
        named = "; ".join(missing[:_NAMED])
        more = f"; and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        where = "it is in quarantine" if is_kept else "it could not be kept in quarantine"
        super().__init__(f"an object of kind {kind} lacks what it must have, and {where}: {named}{more}")
        self.kind = kind
        self.missing = tuple(missing)


class Refused(CandorError):
    """One instance cannot be assessed.

    Parameters
    ----------
    reason
        The coded reason, which stands in the report and in ``results.json``.
    detail
        One sentence for a person: what was found. It holds no patient's data.
    value
        The value of the header that the reason is about, as :func:`candor.study.selection.shown` returns it; "" where
        there is none.
    """

    def __init__(self, reason: Reason, detail: str, value: str = "") -> None:
        super().__init__(f"{reason.meaning}: {detail}")
        self.reason = reason
        self.detail = detail
        self.value = value
