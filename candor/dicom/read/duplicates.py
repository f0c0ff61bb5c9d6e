"""Handle several files with one SOP Instance UID: an instance that was sent twice, or two different ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from candor.dicom.read.file import Picture, read_picture
from candor.dicom.shared.identity import stated, states_all_of
from candor.study.case import CaseImage, assert_set
from candor.study.errors import Refused
from candor.study.reasons import Reason


def settle_duplicates(images: Iterable[CaseImage]) -> None:
    """Keep one file of each instance, once all have been decoded.

    Only files that are not refused are compared, so that a broken file never excludes a good one. Where pixels and
    identity are the same, the first by name is kept. Where all that the others state is stated by one, which has an
    attribute more, that one is kept. Where they differ otherwise, all are refused, because it is not known which of
    them the archive holds under that UID.

    Parameters
    ----------
    images
        The images of one study, with their fingerprints.
    """
    instances: defaultdict[str, list[CaseImage]] = defaultdict(list)
    for image in sorted(images, key=lambda image: image.name):
        if image.assessed:
            instances[image.sop_instance_uid].append(image)
    for same in instances.values():
        kept = same[0]
        if len({image.fingerprint for image in same}) > 1:
            fullest = _fullest(same)
            if fullest is None:
                for image in same:
                    image.refuse(Reason.CONTRADICTION, "files with one SOP Instance UID differ in pixels or identity")
            else:
                kept = fullest
        same_as = (
            "the same pixels and identity as" if kept is same[0] else "the same picture and patient as, or less than,"
        )
        for image in same:
            if image is not kept:
                image.refuse(Reason.DUPLICATE, f"{same_as} {kept.name}, which is assessed")


def _fullest(same: Sequence[CaseImage]) -> CaseImage | None:
    """Return the file that states all that the others of the instance state; None where there is none."""
    try:
        pictures = {image.name: read_picture(image.path) for image in same}
    except Refused:  # one has changed since it was read
        return None
    headers = {image.name: assert_set(image.header) for image in same}

    def is_fullest(one: CaseImage) -> bool:
        return all(
            _covers(pictures[one.name], pictures[other.name]) and states_all_of(headers[one.name], headers[other.name])
            for other in same
        )

    ranked = sorted(same, key=lambda image: -len(stated(headers[image.name])))
    return next(filter(is_fullest, ranked), None)


def _covers(one: Picture, other: Picture) -> bool:
    lacks_nothing = (other.spacing is None or one.spacing is not None) and (
        other.columns_to_left is None or one.columns_to_left is not None
    )
    return one.is_same(other) and lacks_nothing
