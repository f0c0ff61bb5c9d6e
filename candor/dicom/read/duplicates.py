"""Several files with one SOP Instance UID: one instance sent twice, or two that cannot both be it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from candor.study.case import CaseImage
from candor.study.reasons import Reason


def settle_duplicates(images: Iterable[CaseImage]) -> None:
    """Keep one file of each instance, once all have been decoded.

    Only files that are still assessed are compared, so a file that cannot be decoded never shuts out a whole one.
    Where pixels and identity are the same, the first by name stays. Where they differ, nobody can know which of
    them the archive holds under that UID, and none stays.

    Parameters
    ----------
    images
        One study's, with their fingerprints.
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
