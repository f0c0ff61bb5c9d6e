"""The DIMSE status codes that the node gives or understands, each with its clause of the standard."""

from __future__ import annotations

from enum import Enum, unique

from candor.study.errors import CandorError


@unique
class Status(Enum):
    """A status of a DIMSE response (0000,0900).

    Parameters
    ----------
    code
        The status itself.
    meaning
        What it means, in words.
    clause
        Where the standard says so.
    """

    SUCCESS = (0x0000, "success", "PS3.7 C.1.1")
    OPTIONAL_UNSUPPORTED = (0x0001, "warning: requested optional attributes are not supported", "PS3.7 C.4")
    ATTRIBUTE_LIST_ERROR = (0x0107, "warning: attribute list error", "PS3.7 C.4")
    PROCESSING_FAILURE = (0x0110, "processing failure", "PS3.7 C.5.14")
    DUPLICATE_INSTANCE = (0x0111, "duplicate SOP instance", "PS3.7 C.5")
    NO_SUCH_EVENT_TYPE = (0x0113, "no such event type", "PS3.7 C.5.9")
    INVALID_ARGUMENT = (0x0115, "invalid argument value", "PS3.7 C.5.3")
    VALUE_OUT_OF_RANGE = (0x0116, "warning: attribute value out of range", "PS3.7 C.4")
    INVALID_OBJECT_INSTANCE = (0x0117, "invalid SOP instance", "PS3.7 C.5.4")
    CLASS_INSTANCE_CONFLICT = (0x0119, "class-instance conflict", "PS3.7 C.5")
    CLASS_NOT_SUPPORTED = (0x0122, "SOP class not supported", "PS3.7 C.5.18")
    NOT_AUTHORIZED = (0x0124, "not authorized", "PS3.7 C.5.13")
    RESOURCE_LIMITATION = (0x0213, "resource limitation", "PS3.7 C.5.21")
    OUT_OF_RESOURCES = (0xA700, "refused: out of resources", "PS3.4 B.2.3")
    DOES_NOT_MATCH = (0xA900, "error: data set does not match SOP class", "PS3.4 B.2.3")
    COERCED = (0xB000, "warning: coercion of data elements", "PS3.4 B.2.3")
    ELEMENTS_DISCARDED = (0xB006, "warning: elements discarded", "PS3.4 B.2.3")
    NOT_AS_CLASS = (0xB007, "warning: data set does not match SOP class", "PS3.4 B.2.3")
    CANNOT_UNDERSTAND = (0xC000, "error: cannot understand", "PS3.4 B.2.3")

    def __init__(self, code: int, meaning: str, clause: str) -> None:
        self.code = code
        self.meaning = meaning
        self.clause = clause

    @property
    def hexadecimal(self) -> str:
        """As logs have it: ``"0xA700"``."""
        return hexadecimal(self.code)


def hexadecimal(code: int) -> str:
    """Write a status as the standard does: ``"0xA700"``."""
    return f"0x{code:04X}"


def explain(code: int) -> str:
    """Say a status for a person; PS3.4 B.2.3 gives whole ranges one meaning."""
    for status in Status:
        if status.code == code:
            return f"{status.meaning} ({hexadecimal(code)}, {status.clause})"
    ranges = {0xA7: Status.OUT_OF_RESOURCES, 0xA9: Status.DOES_NOT_MATCH}
    status_of_range = ranges.get(code >> 8) or (Status.CANNOT_UNDERSTAND if code >> 12 == 0xC else None)
    meaning = status_of_range.meaning if status_of_range else "a status that PS3.4 B.2.3 does not know"
    return f"{meaning} ({hexadecimal(code)})"


class NotTaken(CandorError):
    """A message is answered with something other than success.

    Parameters
    ----------
    status
        The answer.
    reason
        One sentence for the log and, cut to 64 characters, for the peer (Error Comment (0000,0902)). It holds nothing
        from the message.
    """

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(f"{status.hexadecimal} {status.meaning}: {reason}")
        self.status = status
        self.reason = reason
