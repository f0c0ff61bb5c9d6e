"""A codestream's own size: as encoders write it, and as hostile ones claim it."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from openjpeg.utils import encode_array
from pydicom import dcmwrite
from pydicom.encaps import get_frame
from pydicom.uid import UID, JPEG2000Lossless, JPEGLSLossless

from candor.dicom.read.codestream import Size, check_packets, stated_size
from candor.dicom.read.frame import read_frame
from candor.study.errors import Refused
from candor.study.reasons import Reason
from tests.factory import chest_like, radiograph_dataset
from tests.hostile.bombs import jpeg, jpeg_2000

PIXELS = np.arange(70 * 90, dtype=np.uint16).reshape(70, 90) % 4096


def test_what_encoders_write() -> None:
    dataset = radiograph_dataset(PIXELS)
    dataset.compress(JPEGLSLossless, generate_instance_uid=False)
    assert stated_size(get_frame(dataset.PixelData, 0, number_of_frames=1)) == Size(70, 90, 1)
    assert stated_size(bytes(encode_array(PIXELS, bits_stored=12, use_mct=False))) == Size(70, 90, 1)
    colour = np.zeros((70, 90, 3), np.uint8)
    assert stated_size(bytes(encode_array(colour, photometric_interpretation=1, use_mct=False))) == Size(70, 90, 3)


@pytest.mark.parametrize("marker", [0xC0, 0xC1, 0xC2, 0xC3, 0xCF, 0xF7])
def test_every_frame_header_is_known(marker: int) -> None:
    assert stated_size(jpeg(60_000, 50_000, marker)) == Size(60_000, 50_000, 1)


def test_segments_fill_bytes_and_bare_markers_before_the_frame_header_are_passed_over() -> None:
    content = jpeg(3, 4, 0xC3)
    table = struct.pack(">BBH", 0xFF, 0xC4, 6) + b"\xff\xc0\xff\xc0"
    assert stated_size(content[:2] + b"\xff\xff" + b"\xff\x01" + table + content[2:]) == Size(3, 4, 1)


def test_offsets_and_steps_of_jpeg_2000() -> None:
    content = bytearray(jpeg_2000(100, 50))
    struct.pack_into(">2L", content, 4 + 12, 10, 21)  # XOsiz, YOsiz
    assert stated_size(bytes(content)) == Size(79, 40, 1)
    content[4 + 39 : 4 + 41] = b"\x02\x04"  # XRsiz, YRsiz
    assert stated_size(bytes(content)) == Size(25 - 6, 25 - 5, 1)
    assert stated_size(b"\0\0\0\x0cjP  " + bytes(content)) == Size(19, 20, 1)


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (b"", ValueError),
        (b"\xff\xd8", struct.error),
        (b"\xff\xd8\x00\x00\x00\x00", ValueError),
        (jpeg(3, 4, 0xC3)[:8], struct.error),
        (jpeg_2000(3, 4)[:20], struct.error),
        (jpeg_2000(9_000, 9_000, tile=9), ValueError),
        (jpeg_2000(0, 0), ValueError),
        (bytes(5000) + jpeg_2000(3, 4), ValueError),
    ],
)
def test_what_has_no_size(frame: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        stated_size(frame)


def resized(frame: bytes, side: int, tile: int | None = None) -> bytes:
    """The same codestream with another size in SIZ."""
    content = bytearray(frame)
    struct.pack_into(">2L", content, 8, side, side)
    if tile:
        struct.pack_into(">2L", content, 24, tile, tile)
    return bytes(content)


@pytest.mark.parametrize("shape", [(64, 64), (300, 280), (130, 33), (1000, 1000)])
@pytest.mark.parametrize("ratios", [None, [10.0], [20.0, 10.0, 1.0]], ids=["lossless", "lossy", "layers"])
def test_the_packets_of_encoders_fill_their_tiles(shape: tuple[int, int], ratios: list[float] | None) -> None:
    content = bytes(encode_array(chest_like(*shape), bits_stored=12, use_mct=False, compression_ratios=ratios))
    check_packets(content)
    end = content.rindex(b"\xff\xd9")
    check_packets(content[:end] + b"\xff\x64\x00\x04ab\xff\xd9")
    with pytest.raises(ValueError, match="tiles"):
        check_packets(content[:end] + b"\0" * 16 + b"\xff\xd9")


@pytest.mark.parametrize(
    ("side", "claimed", "tile"), [(1000, 64, None), (1000, 500, 500), (64, 65, None), (64, 8000, 8000), (64, 8000, 64)]
)
def test_a_size_that_the_packets_do_not_fill(side: int, claimed: int, tile: int | None) -> None:
    content = bytes(encode_array(chest_like(side, side), bits_stored=12, use_mct=False))
    with pytest.raises((ValueError, IndexError)):
        check_packets(resized(content, claimed, tile))


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize(("rows", "columns"), [(69, 90), (70, 89), (70, 91), (71, 90)])
def test_one_row_or_column_that_the_header_has_not_is_a_contradiction(
    tmp_path: Path, syntax: UID, rows: int, columns: int
) -> None:
    """The blocks of JPEG 2000 are the same: its packets do not tell."""
    dataset = radiograph_dataset(PIXELS)
    dataset.compress(syntax, generate_instance_uid=False)
    path = tmp_path / "a.dcm"
    dcmwrite(path, dataset, enforce_file_format=True)
    assert read_frame(path, syntax).shape == (70, 90)
    dataset.Rows, dataset.Columns = rows, columns
    dcmwrite(path, dataset, enforce_file_format=True)
    with pytest.raises(Refused) as refused:
        read_frame(path, syntax)
    assert refused.value.reason is Reason.CONTRADICTION
