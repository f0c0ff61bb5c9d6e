"""Decodes the selected images and makes them ready to display."""

from __future__ import annotations

from candor.dicom.read.duplicates import settle_duplicates
from candor.dicom.read.file import read_pixels
from candor.dicom.shared.identity import fingerprint
from candor.study.case import Case, CaseImage, assert_set
from operators.graph.base import ImageOperator


class ImageReader(ImageOperator):
    """Reads pixels through the Modality LUT, the VOI LUT and the polarity.

    Named input:
        case: a study with selected images.

    Named output:
        case: the same with radiographs; what cannot be decoded, or came twice, carries a refusal.
    """

    def work(self, case: Case) -> None:
        """Read the images of one study, then keep one file of each instance."""
        super().work(case)
        settle_duplicates(case.images)

    def work_on(self, image: CaseImage) -> None:
        """Read one image's pixels."""
        decoded = read_pixels(image.path)
        image.radiograph = decoded.radiograph
        image.notices.extend(decoded.notices)
        image.fingerprint = fingerprint(assert_set(image.header), decoded.pixel_sha256)
