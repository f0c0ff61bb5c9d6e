"""Writes the heatmaps as numbers."""

from __future__ import annotations

from functools import partial

from candor.dicom.shared.identity import reportable_images
from candor.dicom.write.parametric_map import build_parametric_map
from candor.study.case import Case
from operators.write.object_writer import ImageObjectWriter


class ParametricMapWriter(ImageObjectWriter):
    """Writes a Parametric Map for every assessed image: one frame for each finding.

    Named input:
        case: a study with results.

    Named output:
        case: the same; ``written`` names the maps.
    """

    makes = "pm"

    def write_all(self, case: Case) -> None:
        """Write the maps of one study, in the order of its images' UIDs."""
        images = [image for image in reportable_images(case) if image.assessed and image.results]
        for number, image in enumerate(images, start=1):
            build = partial(build_parametric_map, case, image, self.provenance, number=number, texts=self.texts)
            self.attempt_object(case, image, build, f"pm-{number}.dcm")
