"""Every error that Candor raises on purpose.

CandorError
├── SettingsError       app.yaml or a command's option cannot be used
├── InputError          the input folder cannot be used
├── OutputError         the output folder cannot be used
├── BundleError         the model bundle is missing, incomplete or does not fit together
├── DataError           training or calibration data cannot be used
├── Refused             one instance cannot be assessed; carries a coded reason
└── ReportError         a result object would not be valid

An error's text says what is wrong and what to do about it, and never holds a patient's data.
"""

from __future__ import annotations

from candor.study.reasons import Reason


class CandorError(Exception):
    """The root of the tree: catch this to catch all that Candor raises on purpose."""


class SettingsError(CandorError):
    """A setting is unknown or impossible."""


class InputError(CandorError):
    """The input folder does not exist, cannot be read or holds no file."""


class OutputError(CandorError):
    """The output folder cannot be written."""


class BundleError(CandorError):
    """The model bundle is missing, incomplete, or its files do not belong together."""


class DataError(CandorError):
    """A data set for training, calibration or evaluation is not in the layout that it should be."""


class ReportError(CandorError):
    """A result object would lack what its template or its IOD demands."""


class Refused(CandorError):
    """One instance cannot be assessed.

    Parameters
    ----------
    reason
        The coded reason, which stands in the report and in ``results.json``.
    detail
        One sentence for a person: what was found. It holds no patient's data.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.meaning}: {detail}")
        self.reason = reason
        self.detail = detail
