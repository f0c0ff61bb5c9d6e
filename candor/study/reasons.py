"""The coded reasons: why an image was not assessed, why a finding was deferred, what was noticed.

Each reason is a code of Candor's private coding scheme, so that it can be part of a Structured Report and be read in
the PACS.
"""

from __future__ import annotations

from enum import Enum, unique


@unique
class ReasonKind(Enum):
    """What a reason does to the result."""

    REFUSAL = "refusal"  # the image is not assessed
    DEFERRAL = "deferral"  # a finding is left to a radiologist
    CHECK = "check"  # the site sets what follows (candor.study.policy)
    NOTICE = "notice"  # the image is assessed, with a notice


@unique
class Reason(Enum):
    """One coded reason.

    Parameters
    ----------
    code
        Code Value (0008,0100), at most 16 characters (PS3.3 table 8.8-1).
    meaning
        Code Meaning (0008,0104), at most 64 characters.
    kind
        What the reason does to the result.
    """

    # Refusals: the file
    UNREADABLE = ("UNREADABLE", "Not a readable DICOM file", ReasonKind.REFUSAL)
    INVALID_IDENTIFIERS = ("BADIDS", "A mandatory identifier is missing or invalid", ReasonKind.REFUSAL)
    DUPLICATE = ("DUPLICATE", "The same instance as another file", ReasonKind.REFUSAL)
    OWN_RESULT = ("OWNRESULT", "A result of this application", ReasonKind.REFUSAL)
    SAYS_OURS = ("SAYSOURS", "A radiograph that names this application as its maker", ReasonKind.REFUSAL)
    # Refusals: the kind of object
    NOT_AN_IMAGE = ("NOIMAGE", "Not an image", ReasonKind.REFUSAL)
    NOT_RADIOGRAPHY = ("NOTXRAY", "Not a projection radiograph", ReasonKind.REFUSAL)
    FOR_PROCESSING = ("FORPROC", "Image for processing, not for presentation", ReasonKind.REFUSAL)
    NOT_CHEST = ("NOTCHEST", "Another body part than the chest", ReasonKind.REFUSAL)
    NOT_FRONTAL = ("NOTFRONTAL", "Not a frontal view", ReasonKind.REFUSAL)
    DECUBITUS = ("DECUBITUS", "A decubitus view", ReasonKind.REFUSAL)
    NOT_HUMAN = ("NOTHUMAN", "The patient is no human", ReasonKind.REFUSAL)
    QUALITY_CONTROL = ("QCIMAGE", "A quality control image", ReasonKind.REFUSAL)
    SUBTRACTED = ("SUBTRACTED", "A bone-suppressed or dual-energy picture", ReasonKind.REFUSAL)
    MULTI_FRAME = ("MULTIFRAME", "More than one frame", ReasonKind.REFUSAL)
    COLOUR = ("COLOUR", "Not a grey-scale image", ReasonKind.REFUSAL)
    TOO_SMALL = ("TOOSMALL", "Fewer pixels than the network needs", ReasonKind.REFUSAL)
    TOO_LARGE = ("TOOLARGE", "More pixels than a radiograph has", ReasonKind.REFUSAL)
    CONTRADICTION = ("CONTRADICT", "Attributes contradict each other", ReasonKind.REFUSAL)
    # Refusals: the pixels
    NO_PIXELS = ("NOPIXELS", "No pixel data", ReasonKind.REFUSAL)
    UNDECODABLE = ("UNDECODABLE", "The pixel data cannot be decoded", ReasonKind.REFUSAL)
    CONSTANT_PIXELS = ("CONSTANT", "The decoded pixels hold no picture", ReasonKind.REFUSAL)
    # Refusals: the study, by the node
    TOO_MANY_IMAGES = ("TOOMANY", "The study has too many images", ReasonKind.REFUSAL)
    UID_REUSED = ("UIDREUSED", "Another study has another picture under the same UID", ReasonKind.REFUSAL)
    # Refusals: an error of the node or the application
    DAMAGED = ("DAMAGED", "A stored image of the study is damaged", ReasonKind.REFUSAL)
    PROCESSING_FAILED = ("FAILED", "Processing failed", ReasonKind.REFUSAL)

    # Deferrals
    BETWEEN_THRESHOLDS = ("BETWEEN", "Neither likely nor unlikely enough to answer", ReasonKind.DEFERRAL)
    UNSUPPORTED = ("UNSUPPORTED", "The calibration cases support no threshold", ReasonKind.DEFERRAL)
    GROUP = ("GROUP", "The promise is not shown for this view, sex or age", ReasonKind.DEFERRAL)
    LIKELY_WRONG = ("LIKELYWRONG", "The answer is too likely to be wrong", ReasonKind.DEFERRAL)
    COST = ("COST", "Answering would cost more than deferring", ReasonKind.DEFERRAL)

    # Checks of the picture
    CLIPPED = ("CLIPPED", "Much of the picture is fully black or fully white", ReasonKind.CHECK)
    NARROW_RANGE = ("NARROWRANGE", "The picture uses few of its greys", ReasonKind.CHECK)
    INVERTED = ("INVERTED", "Black and white are exchanged", ReasonKind.CHECK)
    ROTATED = ("ROTATED", "The picture is turned by a quarter or a half", ReasonKind.CHECK)
    MIRRORED = ("MIRRORED", "The picture seems to be mirrored", ReasonKind.CHECK)
    LOOKS_LATERAL = ("LATERAL", "Looks like a lateral view", ReasonKind.CHECK)
    PAEDIATRIC = ("PAEDIATRIC", "Younger than the patients that the model is for", ReasonKind.CHECK)
    AGE_UNKNOWN = ("AGEUNKNOWN", "The patient's age is not stated", ReasonKind.CHECK)
    MUCH_TEXT = ("MUCHTEXT", "Much text or many marks in the picture", ReasonKind.CHECK)
    BORDERS = ("BORDERS", "Wide borders around the picture", ReasonKind.CHECK)
    # Checks by the network's own features and answers
    UNLIKE_CHEST = ("UNLIKECHEST", "Does not look like a chest radiograph", ReasonKind.CHECK)
    UNLIKE_TRAINING = ("UNLIKETRAIN", "Unlike the images that the model was trained on", ReasonKind.CHECK)
    SHORTCUT = ("SHORTCUT", "The answer hangs on marks or borders", ReasonKind.CHECK)

    # Notices
    BODY_PART_BLANK = ("BODYBLANK", "Body part not stated; taken for a chest", ReasonKind.NOTICE)
    VIEW_BLANK = ("VIEWBLANK", "View not stated; taken for frontal", ReasonKind.NOTICE)
    NO_VOI = ("NOVOI", "No window or VOI LUT; the full range is used", ReasonKind.NOTICE)
    LUT_BITS = ("LUTBITS", "The VOI LUT has other bits than it says; its entries count", ReasonKind.NOTICE)
    LUT_BROKEN = ("LUTBROKEN", "The VOI LUT is broken; the stated window is used", ReasonKind.NOTICE)
    SHUTTER = ("SHUTTER", "The file states a display shutter", ReasonKind.NOTICE)
    LOSSY = ("LOSSY", "Lossy compression", ReasonKind.NOTICE)

    def __init__(self, code: str, meaning: str, kind: ReasonKind) -> None:
        self.code = code
        self.meaning = meaning
        self.kind = kind
