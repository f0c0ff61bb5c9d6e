"""Writes what a reader should look at first as Key Object Selection documents."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom import Dataset

from candor.dicom.write.key_objects import build_key_objects, select_key_objects
from candor.study.case import Case
from candor.study.profile import Profile
from candor.study.result import Decision
from operators.write.object_writer import ProfileObjectWriter


class KeyObjectWriter(ProfileObjectWriter):
    """Writes key objects for positive images, and for deferred ones where a profile flags them.

    Named input:
        case: a study with all its other objects, the reports among them.

    Named output:
        case: the same; ``written`` names the documents, or ``failure`` says why there are none.
    """

    makes = "ko"
    what = "key objects"

    def write_all(self, case: Case) -> None:
        """Write the documents of one study, one for each decision and distinct profile."""
        written = [
            document
            for decision in (Decision.PRESENT, Decision.DEFERRED)
            for document in self.write_once_each(case, self._built(case, decision), f"ko-{decision.value}")
        ]
        case.written.extend(written)

    def _built(self, case: Case, decision: Decision) -> Iterator[tuple[Profile, Dataset]]:
        for profile in self.profiles:
            if decision in select_key_objects(case, profile):
                yield profile, build_key_objects(case, decision, self.provenance, profile, self.texts)
