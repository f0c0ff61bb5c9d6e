"""Handle several files with one SOP Instance UID: an instance that was sent twice, or two different ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from candor.study.case import CaseImage
from candor.study.reasons import Reason


def settle_duplicates(images: Iterable[CaseImage]) -> None:
    """Keep one file of each instance, once all have been decoded.

    Only files that are not refused are compared, so that a broken file never excludes a good one. Where pixels and
    identity are the same, the first by name is kept. Where they differ, all are refused, because it is not known which
    of them the archive holds under that UID.

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
        if len({image.fingerprint for image in same}) > 1:
            for image in same:
                image.refuse(Reason.CONTRADICTION, "files with one SOP Instance UID differ in pixels or identity")
        for image in same[1:]:
            image.refuse(Reason.DUPLICATE, f"the same pixels and identity as {same[0].name}, which is assessed")
