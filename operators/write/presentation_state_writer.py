"""Writes the outlines of the findings as presentation states of the source images."""

from __future__ import annotations

from functools import partial

from candor.dicom.write.presentation_state import build_presentation_state, select_presentation_states
from candor.study.case import Case
from operators.write.object_writer import ImageObjectWriter


class PresentationStateWriter(ImageObjectWriter):
    """Writes a Grayscale Softcopy Presentation State for every image with a finding that is present and localised.

    Named input:
        case: a study with results.

    Named output:
        case: the same; ``written`` names the presentation states.
    """

    makes = "gsps"

    def write_all(self, case: Case) -> None:
        """Write the presentation states of one study."""
        for number, image in enumerate(select_presentation_states(case), start=1):
            build = partial(build_presentation_state, case, image, self.provenance, number=number, texts=self.texts)
            self.attempt_object(case, image, build, f"gsps-{number}.dcm")
