"""Copy attributes of a source into its results, but only values that the Value Representation allows (PS3.5 6.2).

Real files hold hashes where a date belongs and names of 56 characters where 16 fit. Such a value would make a
result invalid as well.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from functools import lru_cache
from typing import Final

from pydicom import Dataset, config
from pydicom.charset import convert_encodings, decode_bytes, encode_string, python_encoding
from pydicom.datadict import dictionary_VR
from pydicom.multival import MultiValue
from pydicom.valuerep import TEXT_VR_DELIMS, PersonName, validate_value

_DATE: Final = re.compile(r"\d{8}")
_ALLOWED: Final = {
    "PatientSex": re.compile("[MFO]"),
    "PatientBirthDate": _DATE,
    "StudyDate": _DATE,
    "TimezoneOffsetFromUTC": re.compile(r"[+-](0\d|1[0-4])[0-5]\d"),
    "BurnedInAnnotation": re.compile("YES|NO"),
    "LossyImageCompression": re.compile("00|01"),
}
"""Patterns where the attribute allows less than its Value Representation, such as a date, but no range of dates."""

_NEVER_IN_A_VALUE: Final = re.compile("[\x00-\x1f\x7f\N{REPLACEMENT CHARACTER}]")
"""Control characters, and the replacement of bytes that the Specific Character Set does not have."""

_ASCII: Final = "ascii"
_ASCII_SETS: Final = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6", "ISO_IR 13", "ISO 2022 IR 13"})
"""Sets of which our own words use ASCII alone: pydicom loses katakana beside it (ISO_IR 13), or writes escapes."""

_MULTI_BYTE_CODECS: Final = frozenset({"UTF8", "GB18030", "GBK"})
_LATIN_LETTER: Final = re.compile("LATIN (SMALL|CAPITAL) LETTER ([A-Z]{1,2})( WITH .+)?")
_TRANSLITERATED: Final = {
    "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ä": "ae", "ö": "oe", "ü": "ue", "ẞ": "SS", "ß": "ss",
    "Þ": "Th", "þ": "th", "Ð": "D", "ð": "d", "Ŋ": "Ng", "ŋ": "ng", "ĸ": "q", "Œ": "OE", "œ": "oe",
    "\N{LATIN SMALL LETTER DOTLESS I}": "i",
    "\N{EN DASH}": "-", "\N{EM DASH}": "-", "\N{MINUS SIGN}": "-", "·": "-", "•": "-", "→": "->",
    "\N{MODIFIER LETTER APOSTROPHE}": "'", "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'", "„": '"', "“": '"', "”": '"', "\N{MULTIPLICATION SIGN}": "x",
    "±": "+/-", "≤": "<=", "≥": ">=", "≈": "~", "\N{FRACTION SLASH}": "/", "°": " deg", "μ": "u", "€": "EUR",
}  # fmt: skip
"""Replacements of characters that have no base letter in Unicode, or that languages write in another way."""


def all_values(source: Dataset, keyword: str) -> list[str]:
    """Return an attribute's values as text, valid or not; [] where it is missing or not text.

    Parameters
    ----------
    source, keyword
        The source's attributes, and the keyword of one.
    """
    value = source.get(keyword)
    if value is None or isinstance(value, bytes):
        return []
    return [str(part) for part in value] if isinstance(value, MultiValue) else [str(value)]


def valid_values(source: Dataset, keyword: str) -> list[str]:
    """Return an attribute's values as text; [] where one of them is empty or not valid.

    Parameters
    ----------
    source, keyword
        The source's attributes, and the keyword of one.
    """
    values = all_values(source, keyword)
    return values if all(value and _is_valid(keyword, value) for value in values) else []


def valid_text(source: Dataset, keyword: str) -> str:
    """Return the text of an attribute with one value; "" where it is missing, multi-valued or not valid.

    Parameters
    ----------
    source, keyword
        The source's attributes, and the keyword of one.
    """
    values = valid_values(source, keyword)
    return values[0] if len(values) == 1 else ""


def carry(target: Dataset, source: Dataset, keyword: str) -> None:
    """Copy an attribute with one value; it becomes empty where the source has no valid value.

    Parameters
    ----------
    target
        The result; changed in place.
    source, keyword
        The source's attributes, and the keyword of one.
    """
    value: str | PersonName = valid_text(source, keyword)
    if value and dictionary_VR(keyword) == "PN" and isinstance(source[keyword].value, PersonName):
        value = source[keyword].value  # a person's name keeps the bytes that the source wrote
    setattr(target, keyword, value)


def carry_where_valid(target: Dataset, source: Dataset, keyword: str) -> None:
    """Copy an attribute with all its values; it is left out where the source has no valid ones.

    Parameters
    ----------
    target
        The result; changed in place.
    source, keyword
        The source's attributes, and the keyword of one.
    """
    values = valid_values(source, keyword)
    if values:
        setattr(target, keyword, values if len(values) > 1 else values[0])


def can_hold(names: list[str], text: str) -> bool:
    """Return whether a text can be encoded in a Specific Character Set without loss.

    Parameters
    ----------
    names
        The values of Specific Character Set (0008,0005).
    text
        One value, or one component of a person's name.
    """
    if text.isascii():
        return True
    encodings = convert_encodings(names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what cannot be encoded is replaced
        encoded = encode_string(text, encodings)
    return decode_bytes(encoded, encodings, TEXT_VR_DELIMS) == text


def plain(sentence: str) -> str:
    """Return a sentence of Candor's own in ASCII, which every Specific Character Set has; see :func:`readable`."""
    return _in_codec(sentence, _ASCII)


def readable(sentence: str, target: Dataset) -> str:
    """Return a sentence of Candor's own with only letters that the target's Specific Character Set (0008,0005) has.

    Any other letter is transliterated to ASCII: "Übergröße" becomes "Uebergroesse". Characters without a Latin letter
    become ``?``.

    Parameters
    ----------
    sentence
        Text in any language.
    target
        The result after :func:`candor.dicom.shared.identity.carry_over`, or another data set to which
        :func:`candor.dicom.shared.identity.carry_character_set` has given the same set. Without a set it is ASCII.

    Returns
    -------
    Text for the target and the items in it. Only the first of several sets is used, so that the text needs no escape
    sequences, which some readers do not support.

    References
    ----------
    DICOM PS3.3 C.12.1.1.2 (Specific Character Set), PS3.5 6.1 (Support of Character Repertoires).
    """
    return _in_codec(sentence, _codec(target))


def _codec(target: Dataset) -> str:
    """Return the name of Python's codec for the first of the target's sets."""
    name = (all_values(target, "SpecificCharacterSet") or [""])[0]
    return _ASCII if name in _ASCII_SETS else python_encoding[name]


def _in_codec(sentence: str, codec: str) -> str:
    if sentence.isascii():
        return sentence
    composed = unicodedata.normalize("NFC", sentence)
    return "".join(letter if _holds(codec, letter) else _transliterated(letter) for letter in composed)


def _holds(codec: str, letter: str) -> bool:
    try:
        encoded = letter.encode(codec)
    except UnicodeEncodeError:
        return False
    return codec in _MULTI_BYTE_CODECS or len(encoded) == 1


@lru_cache(maxsize=256)
def _transliterated(letter: str) -> str:
    """Return one letter in ASCII: from the table, without its diacritics, or by its name in Unicode."""
    if letter.isascii():
        return letter
    if letter in _TRANSLITERATED:
        return _TRANSLITERATED[letter]
    parts = unicodedata.normalize("NFKD", letter)
    if parts != letter:
        return "".join(_transliterated(part) for part in parts if not unicodedata.combining(part))
    named = _LATIN_LETTER.fullmatch(unicodedata.name(letter, ""))
    if named is None:
        return "?"
    return named[2].lower() if named[1] == "SMALL" else named[2].capitalize()


def _is_valid(keyword: str, value: str) -> bool:
    if _NEVER_IN_A_VALUE.search(value) or (keyword in _ALLOWED and not _ALLOWED[keyword].fullmatch(value)):
        return False
    try:
        validate_value(dictionary_VR(keyword), value, config.RAISE)
    except ValueError:
        return False
    return True
