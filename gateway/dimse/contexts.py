"""What the node negotiates: images in the transfer syntaxes that it can decode, C-ECHO, and storage commitment.

Whatever else a peer offers is refused at the negotiation, and so never acknowledged.
"""

from __future__ import annotations

from typing import Final

from pydicom.uid import (
    HTJ2K,
    JPEG2000,
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
    RLELossless,
)
from pynetdicom.presentation import PresentationContext, build_context
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

IMAGES: Final = frozenset(
    uid
    for name, uid in _STORAGE_CLASSES.items()
    if ("ImageStorage" in name and not name.startswith("Video")) or name == "EnhancedUSVolumeStorage"
)
"""SOP Class UIDs of all images; what is no radiograph of a chest gets its answer from the application."""

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
"""SOP Class UIDs of our own results that are no images: a PACS that routes by study sends them back to us."""


def supported_contexts() -> list[PresentationContext]:
    """List what the receiver accepts.

    Storage commitment reports come from a peer in the role of an SCP, to us in the role of an SCU (PS3.4 J.3.3), which
    the peer asks for with role selection.
    """
    reports = build_context(StorageCommitmentPushModel, list(NATIVE))
    reports.scu_role, reports.scp_role = False, True
    images = [build_context(uid, [*NATIVE, *COMPRESSED]) for uid in sorted(IMAGES)]
    results = [build_context(uid, list(NATIVE)) for uid in sorted(RESULTS)]
    return [build_context(Verification, list(NATIVE)), reports, *images, *results]
