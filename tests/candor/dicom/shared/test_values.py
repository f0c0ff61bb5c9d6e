"""Which values of a source a result may carry, and how our own words fit beside them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.charset import convert_encodings, decode_bytes, encode_string
from pydicom.valuerep import TEXT_VR_DELIMS

from candor.dicom.shared.values import can_hold, carry, carry_where_valid, plain, readable, valid_text, valid_values
from tests.cases import header_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

ONE_BYTE = ("ISO_IR 13", *(f"ISO_IR {number}" for number in (100, 101, 109, 110, 126, 127, 138, 144, 148, 166)))
MULTI_BYTE = ("ISO_IR 192", "GB18030", "GBK")
EXTENDED = (("", "ISO 2022 IR 87"), ("ISO 2022 IR 13", "ISO 2022 IR 87"), ("", "ISO 2022 IR 149"))
SETS = (*((name,) for name in (*ONE_BYTE, *MULTI_BYTE)), *EXTENDED, ("",), ("ISO_IR 6",), ("ISO 2022 IR 6",))


def declaring(*names: str) -> Dataset:
    target = Dataset()
    if names:
        target.SpecificCharacterSet = names[0] if len(names) == 1 else list(names)
    return target


class TestPlain:
    @pytest.mark.parametrize(
        ("sentence", "spelled"),
        [
            ("Übergröße", "Uebergroesse"),
            ("Ärzte ÄÖÜ ẞ", "Aerzte AeOeUe SS"),
            ("Łódź, Żółć", "Lodz, Zolc"),
            ("Crème brûlée à Noël", "Creme brulee a Noel"),
            ("Ærø, Þórr, Œuvre", "Aero, Thorr, OEuvre"),
            ("İstanbul, \N{LATIN SMALL LETTER DOTLESS I}l\N{LATIN SMALL LETTER DOTLESS I}k", "Istanbul, ilik"),
            ("\N{LEFT SINGLE QUOTATION MARK}a\N{RIGHT SINGLE QUOTATION MARK} „b“ \N{EN DASH} c…", "'a' \"b\" - c..."),
            ("≤ 90°, ±2 µm", "<= 90 deg, +/-2 um"),
            ("ﬁne ½ x²", "fine 1/2 x2"),
            ("手 and 手", "? and ?"),
            ("u\N{COMBINING DIAERESIS}ber", "ueber"),
            ("two\nlines", "two\nlines"),
        ],
    )
    def test_spells_letters_out(self, sentence: str, spelled: str) -> None:
        assert plain(sentence) == spelled

    @given(st.text())
    def test_is_ascii_whatever_comes(self, sentence: str) -> None:
        assert plain(sentence).isascii()

    @given(st.text(st.characters(min_codepoint=0xC0, max_codepoint=0x17F, categories=("Lu", "Ll")), min_size=1))
    def test_no_letter_of_a_latin_language_becomes_a_question_mark(self, word: str) -> None:
        assert "?" not in plain(word)
        assert re.fullmatch("([A-Za-z]['-]?|')+", plain(word))


class TestReadable:
    @pytest.mark.parametrize("name", ["ISO_IR 100", "ISO_IR 148", *MULTI_BYTE])
    def test_leaves_german_as_it_is_where_the_set_has_its_letters(self, name: str) -> None:
        expected = "Übergröße" if name != "GBK" else "Uebergroesse"
        assert readable("Übergröße", declaring(name)) == expected

    @pytest.mark.parametrize("names", [(), ("",), ("ISO_IR 13",), ("ISO_IR 126",), *EXTENDED])
    def test_spells_german_out_where_it_has_not(self, names: tuple[str, ...]) -> None:
        assert readable("Übergröße", declaring(*names)) == "Uebergroesse"

    def test_a_letter_more_needs_no_other_to_be_spelled_out(self) -> None:
        assert readable("Wałęsa fährt", declaring("ISO_IR 100")) == "Walesa fährt"
        assert readable("Wałęsa fährt", declaring("ISO_IR 101")) == "Wałęsa fährt"

    @pytest.mark.parametrize("names", [("ISO_IR 13",), ("ISO 2022 IR 13", "ISO 2022 IR 87")])
    def test_katakana_beside_ascii_is_not_lost_in_writing(self, names: tuple[str, ...]) -> None:
        made = readable("0\uff61", declaring(*names))
        encodings = convert_encodings(list(names))
        assert decode_bytes(encode_string(made, encodings), encodings, TEXT_VR_DELIMS) == made == "0?"

    @pytest.mark.parametrize("names", SETS, ids="+".join)
    @given(sentence=st.text(st.characters(exclude_categories=("Cs", "Cc", "Co", "Cn"), exclude_characters="\\")))
    def test_what_it_gives_can_be_written_and_read_again(self, names: tuple[str, ...], sentence: str) -> None:
        made = readable(sentence, declaring(*names))
        encodings = convert_encodings(list(names))
        encoded = encode_string(made, encodings)
        assert b"\x1b" not in encoded
        assert decode_bytes(encoded, encodings, TEXT_VR_DELIMS) == made


class TestCanHold:
    @pytest.mark.parametrize(
        ("names", "text", "holds"),
        [
            (["ISO_IR 100"], "Müller", True),
            (["ISO_IR 100"], "Διονυσιος", False),
            (["ISO_IR 126"], "Διονυσιος", True),
            (["ISO_IR 13"], "ﾔﾏﾀﾞ", True),
            (["ISO_IR 13"], "XR ﾔﾏﾀﾞ", False),
            (["", "ISO 2022 IR 87"], "胸部 PA", True),
            (["", "ISO 2022 IR 87"], "홍", False),
            (["ISO_IR 192"], "胸 ü Θ ﾑ", True),
            (["ISO_IR 100"], "", True),
        ],
    )
    def test_tells_what_comes_back(self, names: list[str], text: str, holds: bool) -> None:
        assert can_hold(names, text) is holds


class TestValidValues:
    @pytest.mark.parametrize("value", ["a\x1bb", "a\x00b", "a\N{REPLACEMENT CHARACTER}b", "", "x" * 65])
    def test_what_no_result_may_have_is_none(self, value: str) -> None:
        header = header_of()
        header["PatientID"].value = value
        assert valid_text(header, "PatientID") == ""
        assert valid_values(header, "PatientID") == []

    def test_several_values_are_none_where_one_is_asked_for(self) -> None:
        header = header_of(PatientOrientation=["L", "F"])
        assert valid_text(header, "PatientOrientation") == ""
        assert valid_values(header, "PatientOrientation") == ["L", "F"]

    def test_bytes_that_the_declared_set_does_not_have_are_left_out(self) -> None:
        source = Dataset()
        source.PatientID = b"M\xfcller".decode("utf-8", "replace")
        target = Dataset()
        carry(target, source, "PatientID")
        carry_where_valid(target, source, "PatientComments")
        assert target.PatientID == ""
        assert "PatientComments" not in target
