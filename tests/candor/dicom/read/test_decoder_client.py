"""The process that decodes: its answers are the decoder's, and its death costs one file."""

from __future__ import annotations

import io
import json
import signal
import struct
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless, RLELossless

from candor.dicom.read import decoder_client, decoder_process
from candor.dicom.read.decoder_client import DecoderProcess
from candor.dicom.read.file import read_pixels
from candor.dicom.read.frame import read_frame
from candor.study.errors import Refused
from candor.study.reasons import Reason
from tests.candor.dicom.read.test_file import encoded, save
from tests.factory import chest_like, radiograph_dataset
from tests.hostile.bombs import compressed, jpeg_2000

SHAPE = (2, 3)
MODULE = "tests.hostile.misbehaving"


@pytest.fixture(scope="module")
def process() -> Iterator[DecoderProcess]:
    running = DecoderProcess()
    yield running
    running.close()


@pytest.fixture(scope="module")
def misbehaving() -> Iterator[DecoderProcess]:
    running = DecoderProcess(seconds=60, module=MODULE)
    yield running
    running.close()


def ask(process: DecoderProcess, name: str) -> np.ndarray:
    return process.decode(Path(name), JPEGLSLossless, SHAPE)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless])
def test_it_decodes_as_this_process_does(tmp_path: Path, process: DecoderProcess, syntax: str) -> None:
    dataset = radiograph_dataset()
    path = save(encoded(dataset, syntax), tmp_path / "B\udcffr^Jörg.dcm")
    apart_, here = process.decode(path, syntax, (300, 280)), read_frame(path, syntax)
    assert apart_.dtype == here.dtype == np.uint16
    assert np.array_equal(apart_, here)
    assert np.array_equal(here, dataset.pixel_array)


def test_one_process_decodes_many_files_and_ends_when_it_is_closed(tmp_path: Path) -> None:
    process = DecoderProcess()
    path = save(encoded(radiograph_dataset(chest_like(32, 32)), JPEGLSLossless), tmp_path / "file.dcm")
    assert process.pid is None
    pids = {(process.decode(path, JPEGLSLossless, (32, 32)).size, process.pid) for _ in range(3)}
    assert len(pids) == 1
    process.close()
    assert process.pid is None
    process.close()


def test_a_refusal_comes_through(tmp_path: Path, process: DecoderProcess) -> None:
    dataset = encoded(radiograph_dataset(chest_like(32, 32)), JPEGLSLossless)
    dataset.Rows = 33
    path = save(dataset, tmp_path / "file.dcm")
    with pytest.raises(Refused, match="the codestream has 32 x 32 x 1 values, and the header says 33 x 32 x 1") as told:
        process.decode(path, JPEGLSLossless, (33, 32))
    assert told.value.reason is Reason.CONTRADICTION


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("crashes", "the decoder crashed (SIGSEGV)"),
        ("leaves", "the decoder gave up (3)"),
        ("stops halfway", "the decoder crashed (SIGABRT)"),
        ("another shape", "the decoder crashed (SIGKILL)"),
        ("another type", "the decoder crashed (SIGKILL)"),
    ],
)
def test_its_death_costs_one_file(misbehaving: DecoderProcess, name: str, said: str) -> None:
    with pytest.raises(Refused) as told:
        ask(misbehaving, f"Doe^Jane/{name}")
    assert told.value.reason is Reason.UNDECODABLE
    assert said in told.value.detail
    assert "Doe" not in told.value.detail
    assert ask(misbehaving, "well").tolist() == [[0x100, 0x302, 0x504], [0x706, 0x908, 0xB0A]]


def test_a_file_that_takes_too_long_costs_that_file_alone(misbehaving: DecoderProcess) -> None:
    misbehaving._seconds = 0.1
    with pytest.raises(Refused) as told:
        ask(misbehaving, "Doe^Jane/hangs")
    assert told.value.reason is Reason.UNDECODABLE
    assert told.value.detail.endswith(
        "the decoder took over 0.1 s and was stopped; send it uncompressed, or look at what sends it"
    )
    misbehaving._seconds = 60
    assert ask(misbehaving, "well").shape == SHAPE


def test_a_process_that_died_in_between_is_replaced(misbehaving: DecoderProcess) -> None:
    ask(misbehaving, "dies afterwards")
    running = misbehaving._process
    assert running is not None
    running.wait()
    assert ask(misbehaving, "well").shape == SHAPE


def test_memory_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "file.dcm"
    path.write_bytes(compressed(jpeg_2000(4000, 4000), JPEG2000Lossless, 4000, 4000))
    narrow, wide = DecoderProcess(memory_bytes=100 << 20), DecoderProcess()
    with pytest.raises(Refused) as told:
        narrow.decode(path, JPEG2000Lossless, (4000, 4000))
    assert told.value.reason is Reason.UNDECODABLE
    assert wide.decode(path, JPEG2000Lossless, (4000, 4000)).shape == (4000, 4000)
    narrow.close()
    wide.close()


def test_uncompressed_pixels_need_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("candor.dicom.read.decode.decode_apart", None)
    assert read_pixels(save(radiograph_dataset(), tmp_path / "file.dcm")).radiograph.pixels.shape == (300, 280)


def test_compressed_pixels_are_decoded_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("candor.dicom.read.decode.read_frame", None)
    read_pixels(save(encoded(radiograph_dataset(), RLELossless), tmp_path / "file.dcm"))
    assert decoder_client._SHARED.pid


def test_the_alarm_is_set_for_the_decoding_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(encoded(radiograph_dataset(chest_like(32, 32)), JPEGLSLossless), tmp_path / "file.dcm")
    timers: list[float] = []
    monkeypatch.setattr(signal, "setitimer", lambda _, seconds: timers.append(seconds))
    answers = io.BytesIO()
    good, bad = (
        json.dumps({"path": str(file), "syntax": JPEGLSLossless, "seconds": 7}).encode()
        for file in (path, tmp_path / "missing")
    )
    decoder_process.serve([good, bad], answers)
    assert timers == [7, 0, 7, 0]
    head, rest = answers.getvalue().split(b"\n", 1)
    assert json.loads(head) == {"dtype": "<u2", "shape": [32, 32]}
    assert rest[: 2 * 32 * 32] == read_frame(path, JPEGLSLossless).tobytes()
    assert json.loads(rest[2 * 32 * 32 :])["reason"] == "UNDECODABLE"


@pytest.mark.parametrize(("side", "claimed"), [(1000, 64), (64, 1000)])
def test_a_jpeg_whose_size_lies_is_no_picture(tmp_path: Path, process: DecoderProcess, side: int, claimed: int) -> None:
    """The header says the same size; libjpeg makes up the rest, or leaves the rest, and only prints that it does."""
    grey = (chest_like(side, side) >> 4).astype(np.uint8)
    frame = bytearray(cv2.imencode(".jpg", grey)[1].tobytes())
    at = frame.index(b"\xff\xc0")
    assert struct.unpack_from(">HH", frame, at + 5) == (side, side)
    for size in (side, claimed):
        struct.pack_into(">HH", frame, at + 5, size, size)
        bits = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
        path = tmp_path / f"{size}.dcm"
        path.write_bytes(compressed(bytes(frame), JPEGBaseline8Bit, size, size, **bits))
        if size == side:
            assert process.decode(path, JPEGBaseline8Bit, (size, size)).shape == (side, side)
            continue
        with pytest.raises(Refused, match="another picture") as refused:
            process.decode(path, JPEGBaseline8Bit, (size, size))
        assert refused.value.reason is Reason.UNDECODABLE
