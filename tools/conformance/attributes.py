"""The attributes of example objects: how often each is present, and where its value comes from.

The words are those of PS3.2: the presence of a value is ALWAYS, VNAP (empty where there is no value), ANAP (left out
where there is none) or EMPTY; its source is FIXED, COPY (from the image), CONFIG (from the settings) or AUTO.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from highdicom._standard_utils import get_iod_module_map, get_module_attribute_map, get_sop_class_iod_map
from pydicom import DataElement, Dataset
from pydicom.datadict import keyword_for_tag
from pydicom.sr.coding import Code
from pydicom.tag import BaseTag, Tag

from candor.words.texts import ENGLISH
from tools.conformance.example import Made
from tools.conformance.markdown import coded

_NOTHING: Final[frozenset[str]] = frozenset()

Path = tuple[BaseTag, ...]
"""Tags from the data set to an attribute."""

CONTENT: Final = Tag("ContentSequence")
CODE: Final = frozenset(map(Tag, ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")))
"""The attributes of a coded entry (PS3.3 table 8.8-1) that are used here."""

_WORDS: Final = frozenset({"LO", "LT", "SH", "SQ", "ST", "UT"})
"""Value Representations of the texts that the setting ``language`` changes."""

_NUMBERS: Final = frozenset({"DS", "FD", "FL"})
"""Value representations in which one number can be written in several ways."""

_LONGEST: Final = 64


@dataclass
class Attribute:
    """One attribute of one kind of object, over all objects of that kind.

    Parameters
    ----------
    values
        What was found, with whether a source had it, and whether the object is in English.
    """

    path: Path
    vr: str
    count: int = 0
    empty: int = 0
    values: list[tuple[str, bool, bool]] = field(default_factory=list)
    objects: set[int] = field(default_factory=set)

    def presence(self, parents: int) -> str:
        """Return how often it is present, for the number of data sets or items that could have it."""
        if self.empty == self.count:
            return "EMPTY" if self.count == parents else "ANAP, EMPTY"
        if self.count < parents:
            return "ANAP"
        return "VNAP" if self.empty else "ALWAYS"

    @property
    def distinct(self) -> tuple[str, ...]:
        """Its values, each once."""
        return tuple(sorted({value for value, _, _ in self.values}))

    @property
    def origin(self) -> str:
        """Return where its values come from; "" for a sequence, whose items have sources of their own."""
        if not self.values:
            return ""
        english = {value for value, _, is_english in self.values if is_english}
        # What only one of the sources led to has nothing to be compared with.
        if len(english) == 1 and len(self.objects) > 1 and (len(self.distinct) == 1 or self.vr in _WORDS):
            return "FIXED" if len(self.distinct) == 1 else "CONFIG"
        return "COPY" if all(is_copy for _, is_copy, _ in self.values) else "AUTO"


def attributes_of(results: Iterable[Made]) -> dict[Path, tuple[Attribute, str]]:
    """Return the attributes of objects of one kind, in the order of their tags."""
    found: dict[Path, Attribute] = {}
    parents: dict[Path, int] = {}
    for result in results:
        held, uids = _values_by_keyword(result.sources), _uids(result.sources)
        source = hash(result.sources[0].StudyInstanceUID)
        for path, dataset in data_sets(result.dataset):
            parents[path] = parents.get(path, 0) + 1
            for element in dataset:
                attribute = found.setdefault((*path, element.tag), Attribute((*path, element.tag), element.VR))
                _note(attribute, element, result, uids if element.VR == "UI" else held.get(element.keyword, _NOTHING))
                attribute.objects.add(source)
    return {path: (found[path], found[path].presence(parents[path[:-1]])) for path in sorted(found)}


def _note(attribute: Attribute, element: DataElement, result: Made, held: frozenset[str]) -> None:
    attribute.count += 1
    attribute.empty += element.is_empty
    if element.is_empty or (element.VR == "SQ" and not is_coded_entry(element)):
        return
    for value in words(element):
        attribute.values.append((value, value in held, result.texts is ENGLISH))


def data_sets(dataset: Dataset, path: Path = ()) -> Iterator[tuple[Path, Dataset]]:
    """Yield a data set and the items in it; coded entries count as values, and content items as one level."""
    yield path, dataset
    for element in dataset:
        if element.VR != "SQ" or is_coded_entry(element):
            continue
        inside = element.tag == CONTENT and CONTENT in path
        for item in element.value:
            yield from data_sets(item, path[: path.index(CONTENT) + 1] if inside else (*path, element.tag))


def is_coded_entry(element: DataElement) -> bool:
    """Return whether a sequence holds one code, of value, scheme and meaning."""
    return element.VR == "SQ" and len(element.value) == 1 and set(element.value[0].keys()) == CODE


def words(element: DataElement) -> list[str]:
    """Return an element's value as text, or its hash where it is not text."""
    if element.VR == "SQ":
        return [coded(code_of(item)) for item in element.value]
    value = element.value
    values = value if element.VM > 1 else [value]
    text = "\\".join(f"{float(each):.15g}" if element.VR in _NUMBERS else str(each) for each in values)
    if isinstance(value, bytes) or len(text) > _LONGEST:
        return [f"#{hashlib.sha256(repr(value).encode()).hexdigest()}"]
    return [text]


def code_of(item: Dataset) -> Code:
    """Return a coded entry as text."""
    return Code(item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning)


def _values_by_keyword(sources: Sequence[Dataset]) -> dict[str, frozenset[str]]:
    """Return the values of a keyword in sources, at any level."""
    found: dict[str, set[str]] = {}
    for source in sources:
        for element in source.iterall():
            if element.VR != "SQ":
                found.setdefault(element.keyword, set()).update(words(element))
    return {keyword: frozenset(values) for keyword, values in found.items()}


def _uids(sources: Sequence[Dataset]) -> frozenset[str]:
    """Return the UIDs of sources: a reference to one is a copy under another keyword."""
    return frozenset(str(each.value) for source in sources for each in source if each.VR == "UI")


class Iod:
    """An Information Object Definition: the module and the type of each attribute.

    Parameters
    ----------
    sop_class_uid
        Of one of its objects.

    References
    ----------
    DICOM PS3.3, as highdicom's tables have it.
    """

    def __init__(self, sop_class_uid: str) -> None:
        name = get_sop_class_iod_map()[sop_class_uid]
        self._modules = [(module["key"], module["usage"]) for module in get_iod_module_map()[name]]
        self._types: dict[tuple[str, ...], tuple[str, str]] = {}
        for module, _ in self._modules:
            for attribute in get_module_attribute_map()[module]:
                self._types.setdefault((*attribute["path"], attribute["keyword"]), (module, attribute["type"]))

    def place(self, path: Path) -> tuple[str, str]:
        """Return an attribute's module and type; the type is "" in macros that the tables lack."""
        keywords = tuple(map(keyword_for_tag, path))
        for length in range(len(keywords), 0, -1):
            if keywords[:length] in self._types:
                module, kind = self._types[keywords[:length]]
                return module, kind if length == len(keywords) else ""
        return "", ""

    def position(self, module: str) -> int:
        """Return a module's position in the standard; unknown ones are last."""
        names = [name for name, _ in self._modules]
        return names.index(module) if module in names else len(names)
