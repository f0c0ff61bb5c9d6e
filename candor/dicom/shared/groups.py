"""The groups that the gate distinguishes, from a header that may hold anything."""

from __future__ import annotations

from pydicom import Dataset

from candor.decide.groups import Groups, groups_of
from candor.dicom.shared.age import completed_years
from candor.dicom.shared.attributes import text


def header_groups(header: Dataset) -> Groups:
    """Return the groups of an image: its view, and the patient's sex and age band, where the header states them.

    References
    ----------
    DICOM PS3.3 C.8.1.2 (View Position), C.7.1.1 (Patient's Sex), C.7.2.2 (Patient's Age).
    """
    return groups_of(text(header, "ViewPosition"), text(header, "PatientSex"), completed_years(header))
