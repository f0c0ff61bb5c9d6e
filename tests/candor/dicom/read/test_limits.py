"""The bounds: each is refused for its own reason, before it costs anything, and real files are far from all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from candor.dicom.read import limits
from candor.dicom.read.file import read_header, read_pixels
from candor.dicom.read.limits import Budget, read_limited
from candor.study.errors import Refused
from candor.study.reasons import Reason
from tests.candor.dicom.read.test_file import encoded, save
from tests.factory import radiograph_dataset
from tests.hostile.bombs import BOMBS, before_pixels, explicit, nested, nested_with_lengths

SAID = {
    "10000 nested sequences": "nested over 32 deep",
    "100 nested sequences": "nested over 32 deep",
    "10000 nested sequences with lengths": "items of sequences",
    "10000 nested UN": "nested over 32 deep",
    "12 MiB in 30 sequences": "sequences of over 8 MiB",
    "a search that squares": "over 25000 items of sequences",
    "a million elements": "over 100000 elements",
    "a million items": "over 25000 items of sequences",
    "a deflated bomb": "it inflates to over 288 MiB; send it without deflation",
    "a header of 100 MiB": "over 64 MiB to read",
    "meta of 100 MiB": "over 64 MiB to read",
    "a name of 100 MB": "over 64 MiB to read",
    "a name of 4 MB": "texts and numbers of over 2 MiB",
    "20 million numbers": "texts and numbers of over 2 MiB",
    "65535 x 65535": "over 100 megapixels",
    "a million fragments": "over 100000 elements, items and fragments",
    "JPEG of 60000 x 60000": "the codestream has 60000 x 60000 x 1 values, and the header says 64 x 64 x 1",
}

ALONE = """
import sys
from pathlib import Path
from candor.dicom.read.file import read_pixels
from candor.study.errors import Refused
for path in sys.argv[1:]:
    try:
        read_pixels(Path(path))
        print("READ")
    except Refused as refused:
        print(refused.reason.name)
"""
"""What reads files in a process of its own, with its decoder below it."""


SLOW = {"a million elements", "JPEG 2000 of 9999 x 9999 without data", "RLE that expands to 4 GiB"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.full] if name in SLOW else []) for name in BOMBS]
)
def test_a_bomb_is_refused_for_its_own_reason(tmp_path: Path, name: str) -> None:
    make, reason = BOMBS[name]
    path = tmp_path / "Doe^Jane.dcm"
    path.write_bytes(make())
    with pytest.raises(Refused) as told:
        read_pixels(path)
    assert told.value.reason is reason
    assert SAID.get(name, "") in told.value.detail
    assert "Doe" not in told.value.detail
    assert told.value.__cause__ is None


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.full) for name in BOMBS])
def test_a_bomb_alone_takes_under_2_gib_and_30_s(tmp_path: Path, name: str) -> None:
    make, reason = BOMBS[name]
    path = tmp_path / "bomb.dcm"
    path.write_bytes(make())
    assert peak_mib(path, expected=[reason]) < 2048


def test_bombs_together_take_under_2_gib(tmp_path: Path) -> None:
    chosen = ["a deflated bomb", "20 million numbers", "JPEG-LS of 9999 x 9999 without data"]
    for name in chosen:
        (tmp_path / f"{name}.dcm").write_bytes(BOMBS[name][0]())
    paths = [tmp_path / f"{name}.dcm" for name in chosen]
    assert peak_mib(*paths, expected=[BOMBS[name][1] for name in chosen]) < 2048


def peak_mib(*paths: Path, expected: list[Reason]) -> float:
    """Read files in a process of its own; return the largest memory of it and its decoder in MiB."""
    root = Path(__file__).resolve().parents[4]
    peak = paths[0].with_name("peak")
    done = subprocess.run(
        [sys.executable, "-m", "tests.measured", str(peak), sys.executable, "-c", ALONE, *map(str, paths)],
        capture_output=True,
        text=True,
        cwd=root,
        timeout=300,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.stdout.split() == [reason.name for reason in expected], done.stderr
    return float(peak.read_text())


def test_nesting_within_the_bound_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file.dcm"
    path.write_bytes(before_pixels(nested_with_lengths(32)))
    item, depth = read_header(path), 0
    while "ReferencedImageSequence" in item:
        item, depth = item.ReferencedImageSequence[0], depth + 1
    assert depth == 32
    path.write_bytes(before_pixels(nested_with_lengths(33)))
    with pytest.raises(Refused, match="nested over 32 deep"):
        read_header(path)


def test_opaque_values_cost_no_conversion(tmp_path: Path) -> None:
    path = tmp_path / "file.dcm"
    path.write_bytes(before_pixels(explicit(0x00311010, b"OB", 16 << 20, bytes(16 << 20))))
    assert len(read_header(path)[0x00311010].value) == 16 << 20


@pytest.mark.parametrize(
    ("bound", "value", "said"),
    [
        ("MAXIMUM_ELEMENTS", 50, "over 50 elements"),
        ("MAXIMUM_READS", 100, "elements, items and fragments"),
        ("MAXIMUM_VALUE_BYTES", 300, "texts and numbers"),
        ("MAXIMUM_SEQUENCE_BYTES", 100, "sequences of over"),
        ("MAXIMUM_DEPTH", 0, "nested over"),
    ],
)
def test_each_bound_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, value: int, said: str) -> None:
    path = save(radiograph_dataset(), tmp_path / "file.dcm")
    read_header(path)
    monkeypatch.setattr(limits, bound, value)
    with pytest.raises(Refused, match=said) as told:
        read_header(path)
    assert told.value.reason is Reason.UNREADABLE
    assert told.value.detail.endswith("no radiograph has so much; look at what sends it")


def test_a_refusal_inside_a_sequence_of_undefined_length_keeps_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.dcm"
    path.write_bytes(before_pixels(nested(50)))
    reads = 2 * len(read_limited(save(radiograph_dataset(), tmp_path / "plain.dcm"), Budget(1 << 20)))
    monkeypatch.setattr(limits, "MAXIMUM_READS", reads + 120)
    with pytest.raises(Refused, match="elements, items and fragments"):
        read_header(path)


def test_a_deflated_file_within_the_bound_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = radiograph_dataset()
    path = save(encoded(dataset, DeflatedExplicitVRLittleEndian), tmp_path / "file.dcm")
    header = read_header(path)
    assert header.PatientID == dataset.PatientID
    assert header.buffer is None or header.buffer.closed
    monkeypatch.setattr(limits, "MAXIMUM_INFLATED_BYTES", 100_000)
    with pytest.raises(Refused) as told:
        read_header(path)
    assert told.value.reason is Reason.TOO_LARGE


def test_a_deflated_file_without_its_end_is_unreadable(tmp_path: Path) -> None:
    path = save(encoded(radiograph_dataset(), DeflatedExplicitVRLittleEndian), tmp_path / "file.dcm")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(Refused) as told:
        read_header(path)
    assert told.value.reason is Reason.UNREADABLE


@pytest.mark.parametrize("folder", ["chest_dicom", "ood_dicom", "hostile_dicom"])
def test_no_real_file_comes_near_a_bound(
    folder: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths: Path = request.getfixturevalue(folder)
    before = [outcome(path) for path in sorted(paths.iterdir())]
    for name in ("MAXIMUM_READS", "MAXIMUM_ELEMENTS", "MAXIMUM_VALUE_BYTES", "MAXIMUM_SEQUENCE_BYTES"):
        monkeypatch.setattr(limits, name, getattr(limits, name) // 10)
    monkeypatch.setattr(limits, "MAXIMUM_DEPTH", limits.MAXIMUM_DEPTH // 2)
    assert [outcome(path) for path in sorted(paths.iterdir())] == before


def outcome(path: Path) -> str:
    try:
        return str(len(read_header(path)))
    except Refused as refused:
        return str(refused)
