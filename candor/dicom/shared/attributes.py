"""Read attributes of a header that may hold anything; each function returns the type that it promises."""

from __future__ import annotations

import math
import re
from typing import Any, Final

from pydicom import Dataset
from pydicom.sequence import Sequence

from candor.study.errors import Refused
from candor.study.reasons import Reason

_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)+")


def is_uid(value: object) -> bool:
    """Return whether ``value`` is a UID, which is a safe name for a folder too.

    Components with leading zeros are allowed: PS3.5 9.1 forbids them, but senders write them and they do no harm here.
    A UID of one component is not allowed, because no organisation's root has only one.
    """
    return isinstance(value, str) and len(value) <= 64 and _UID.fullmatch(value) is not None


def values(dataset: Dataset, keyword: str) -> list[Any]:
    """Return the values of an attribute that are not blank, in their order; [] where the attribute is missing.

    Parameters
    ----------
    dataset, keyword
        The data set, and the keyword of its attribute.
    """
    value = dataset.get(keyword)
    several = not isinstance(value, str | bytes) and hasattr(value, "__iter__")
    return [one for one in (value if several else [value]) if one is not None and one != ""]


def text(dataset: Dataset, keyword: str) -> str:
    """Return the first value of an attribute, stripped and in capitals; "" where there is none.

    Parameters
    ----------
    dataset, keyword
        The data set, and the keyword of its attribute.
    """
    found = values(dataset, keyword)
    return str(found[0]).strip().upper() if found else ""


def number(dataset: Dataset, keyword: str) -> float | None:
    """Return the first value of an attribute as a finite number; None where there is none.

    Parameters
    ----------
    dataset, keyword
        The data set, and the keyword of its attribute.

    Raises
    ------
    Refused
        ``UNREADABLE``: the value is not a finite number.
    """
    found = values(dataset, keyword)
    if not found:
        return None
    try:
        result = float(found[0])
    except (TypeError, ValueError, OverflowError):
        result = math.nan
    if not math.isfinite(result):
        raise Refused(Reason.UNREADABLE, f"{keyword} is not a finite number")
    return result


def integer(dataset: Dataset, keyword: str) -> int | None:
    """Return the first value of an attribute as a whole number; None where there is none.

    Parameters
    ----------
    dataset, keyword
        The data set, and the keyword of its attribute.

    Raises
    ------
    Refused
        ``UNREADABLE``: the value is not a whole number.
    """
    result = number(dataset, keyword)
    if result is not None and not result.is_integer():
        raise Refused(Reason.UNREADABLE, f"{keyword} is not a whole number")
    return None if result is None else int(result)


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence; [] where it is empty, missing, or not a sequence.

    Parameters
    ----------
    dataset, keyword
        The data set, and the keyword of its attribute.
    """
    value = dataset.get(keyword)
    return list(value) if isinstance(value, Sequence) else []
