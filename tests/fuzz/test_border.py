"""Fuzzing the reader's border: by fixed mutations always, guided by coverage where atheris is installed."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from candor.dicom.read.file import read_pixels
from candor.study.errors import Refused
from candor.study.reasons import Reason
from tests.candor.dicom.read.test_limits import peak_mib
from tests.conftest import ROOT
from tests.fuzz.seeds import seeds

MUTATIONS = 1500
FEW, MANY = 2_000, 100_000
OPTIONS = ["-seed=1", "-max_len=1200", "-rss_limit_mb=2048", "-timeout=30", "-print_final_stats=1"]
ITEMS = [b"\xff\xff\xff\xff", b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0"]
INTERESTING = [*ITEMS, b"SQ", b"UN", b"\\", b"\0"]
FOLDER = Path(__file__).with_name("findings")
FINDINGS = {"repeated-empty-elements": Reason.NO_PIXELS, "length-beyond-the-end": Reason.NO_PIXELS}
"""What the fuzzer stopped at, in ``findings``. For both it reported more than 2 GiB of memory: one repeats element
(0000,0000), the other has a length beyond the end of the file."""


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Change, insert, remove or repeat some bytes."""
    result = bytearray(content)
    for _ in range(chance.randint(1, 6)):
        start = chance.randrange(len(result))
        end = min(start + chance.randint(1, 12), len(result))
        new = chance.choice([chance.randbytes(chance.randint(1, 4)), *INTERESTING, bytes(result[start:end]) * 2, b""])
        result[start:end] = new or result[end : end + 1]
    return bytes(result)


def test_every_seed_is_read_or_refused(tmp_path: Path) -> None:
    path, read = tmp_path / "file.dcm", 0
    for content in seeds():
        path.write_bytes(content)
        with suppress(Refused):
            read_pixels(path)
            read += 1
    assert read >= 9


def test_mutations_are_read_or_refused(tmp_path: Path) -> None:
    chance, path = random.Random(1), tmp_path / "file.dcm"
    whole, refused = list(seeds()), 0
    for _ in range(MUTATIONS):
        path.write_bytes(mutated(chance.choice(whole), chance))
        try:
            read_pixels(path)
        except Refused:
            refused += 1
    assert 0 < refused < MUTATIONS


def test_findings_are_refused_in_little_memory(tmp_path: Path) -> None:
    assert {path.name for path in FOLDER.iterdir()} == FINDINGS.keys()
    paths = [Path(shutil.copy(FOLDER / name, tmp_path)) for name in FINDINGS]
    assert peak_mib(*paths, expected=list(FINDINGS.values())) < 512


def fuzz(folder: Path, runs: int, seconds: float) -> int:
    """Fuzz so often in a process of its own; returns how often it really was."""
    pytest.importorskip("atheris", reason="coverage-guided fuzzing needs atheris: pip install atheris")
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, content in enumerate([*seeds(), *(path.read_bytes() for path in FOLDER.iterdir())]):
        (corpus / f"{number:02}").write_bytes(content)
    done = subprocess.run(
        # The fuzzer would take the peak of these tests' memory for its own.
        [
            sys.executable,
            "-m",
            "tests.measured",
            str(folder / "peak"),
            sys.executable,
            "-m",
            "tests.fuzz.border",
            str(corpus),
            f"-runs={runs}",
            *OPTIONS,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    counted = re.search(r"stat::number_of_executed_units:\s+(\d+)", done.stderr)
    assert counted, done.stderr[-2000:]
    return int(counted[1])


def test_a_few_guided_inputs_are_read_or_refused(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    executed = fuzz(tmp_path, FEW, 300.0)
    record_property("measured", f"fuzzed the reader's border with {executed} inputs: no crash, no unlisted exception")
    assert executed >= FEW


@pytest.mark.full
def test_many_guided_inputs_are_read_or_refused(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    executed = fuzz(tmp_path, MANY, 3600.0)
    record_property("measured", f"fuzzed the reader's border with {executed} inputs: no crash, no unlisted exception")
    assert executed >= MANY


def test_the_fuzzer_sees_what_is_not_refused(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="coverage-guided fuzzing needs atheris: pip install atheris")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "seed").write_bytes(next(seeds()))
    broken = (
        "import runpy, sys, candor.dicom.read.limits as b\n"
        "def fails(*_, **__): raise BufferError\n"
        "b.read_limited = fails\n"
        "runpy.run_module('tests.fuzz.border', run_name='__main__', alter_sys=False)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", broken, str(corpus), "-runs=10", f"-artifact_prefix={tmp_path}/"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    assert "BufferError" in done.stdout + done.stderr
