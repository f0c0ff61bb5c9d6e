"""What the node negotiates: every storage class, C-ECHO, and storage commitment.

A PACS forwards whole studies over one association, and many senders give the rest of a study up at the first object
that is not accepted. So every storage class is accepted; what is no radiograph is acknowledged and ignored.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pydicom._uid_dict import UID_dictionary
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    AllTransferSyntaxes,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameSingleBitSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.service_class import ServiceClass, StorageServiceClass
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    _STORAGE_CLASSES,
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    ParametricMapStorage,
    StorageCommitmentPushModel,
    Verification,
    register_uid,
    uid_to_service_class,
)

NATIVE: Final = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)
COMPRESSED: Final = (
    JPEGLosslessSV1,
    JPEGLossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    JPEG2000Lossless,
    JPEG2000,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    HTJ2K,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    RLELossless,
)
"""Not Deflated Explicit VR Little Endian: a few bytes of it can hold gigabytes, and no image gains by it."""

_ALL: Final = (*NATIVE, *COMPRESSED, *(uid for uid in AllTransferSyntaxes if uid not in (*NATIVE, *COMPRESSED)))
"""For what is never read."""

STUDY_IMAGES: Final = frozenset(
    map(
        str,
        (
            ComputedRadiographyImageStorage,
            DigitalXRayImageStorageForPresentation,
            DigitalXRayImageStorageForProcessing,
            SecondaryCaptureImageStorage,
            MultiFrameSingleBitSecondaryCaptureImageStorage,
            MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
            MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
            MultiFrameTrueColorSecondaryCaptureImageStorage,
        ),
    )
)
"""SOP Class UIDs of the images that become part of a study: radiographs, and the secondary captures that people take
for radiographs. The report says of each that is not assessed why."""

RESULTS: Final = frozenset(
    map(
        str,
        (
            BasicTextSRStorage,
            EnhancedSRStorage,
            ComprehensiveSRStorage,
            Comprehensive3DSRStorage,
            GrayscaleSoftcopyPresentationStateStorage,
            KeyObjectSelectionDocumentStorage,
            ParametricMapStorage,
        ),
    )
)
"""SOP Class UIDs of our own results, beside secondary captures: a PACS that routes by study sends them back to us."""

_NOTES: Final = frozenset({str(KeyObjectSelectionDocumentStorage)})
"""Of rejection notes, which are read."""


STORAGE: Final = frozenset(
    uid
    for uid, (name, kind, *_) in UID_dictionary.items()
    if kind == "SOP Class" and "Storage" in name and "Commitment" not in name and "Directory" not in name
) | frozenset(_STORAGE_CLASSES.values())
"""SOP Class UIDs of all storage classes of the standard, the retired ones too."""

PRIVATE: Final = "private"


def class_name(sop_class_uid: str) -> str:
    """Return the keyword of a storage class of the standard, else :data:`PRIVATE`: a label with few values."""
    return UID(sop_class_uid).keyword or PRIVATE if sop_class_uid in STORAGE else PRIVATE


def is_ignored(sop_class_uid: str, transfer_syntax_uid: str) -> bool:
    """Return whether an object is ignored whatever it holds, so that it need not be read.

    Parameters
    ----------
    sop_class_uid
        Its SOP class.
    transfer_syntax_uid
        Its transfer syntax: a result that is deflated is none of ours, and inflating it could fill the memory.
    """
    if sop_class_uid in STUDY_IMAGES:
        return False
    return sop_class_uid not in RESULTS or transfer_syntax_uid not in NATIVE + COMPRESSED


def supported_contexts(private_classes: Iterable[str] = ()) -> list[PresentationContext]:
    """List what the receiver accepts.

    Storage commitment reports come from a peer in the role of an SCP, to us in the role of an SCU (PS3.4 J.3.3), which
    the peer asks for with role selection.

    They are more than 128, which is the most that one association may propose (PS3.8 9.3.2.2). A Key Object Selection
    is accepted in the native transfer syntaxes only, one of which every sender has to offer (PS3.5 10.1): a deflated
    rejection note would not be read.

    Parameters
    ----------
    private_classes
        The setting ``receive.private_classes``.
    """
    reports = build_context(StorageCommitmentPushModel, list(NATIVE))
    reports.scu_role, reports.scp_role = False, True
    others = (STORAGE | frozenset(private_classes)) - STUDY_IMAGES - _NOTES
    for uid in others:
        if uid_to_service_class(uid) is ServiceClass:  # pynetdicom would abort at a C-STORE of a class unknown to it
            register_uid(uid, f"Storage_{uid.replace('.', '_')}", StorageServiceClass)
    images = [build_context(uid, [*NATIVE, *COMPRESSED]) for uid in sorted(STUDY_IMAGES)]
    notes = [build_context(uid, list(NATIVE)) for uid in sorted(_NOTES)]
    ignored = [build_context(uid, list(_ALL)) for uid in sorted(others)]
    return [build_context(Verification, list(NATIVE)), reports, *images, *notes, *ignored]
