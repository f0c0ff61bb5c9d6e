"""Independent validators of DICOM objects: dciodvfy, DCMTK and PixelMed. None shares code with what they judge."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from pydicom import dcmread

PIXELMED = Path("/usr/share/java/pixelmed.jar")
SR_VALIDATE = Path(__file__).with_name("SrValidate.java")
TOOLS = ("dciodvfy", "dcmftest", "dsrdump", "dcmpschk", "java")
INSTALL = "apt-get install --no-install-recommends dcmtk dicom3tools libpixelmed-java default-jdk-headless"

TOLERATED = re.compile(
    r"Template 1410 .*Missing conditional content item|not found in context group 100"
    r"|NUM \(37188(?:6008|5007),SCT,.*expected INFERRED FROM - found HAS PROPERTIES$"
    r"|Template 2010 .*CODE CID 701[12]: .*Conditional content item present when condition not satisfied"
)
"""PixelMed takes each Measurement Group for TID 1410, and knows no chest procedure in CID 100. It looks for the title
that asks for a Document Title Modifier (TID 2010 rows 3 and 4) in a CODE beside the document, never in the document. It
takes each NUM below a NUM for one that the value is inferred from (TID 300 rows 9 and 10), also where it is a property
(TID 310 row 5)."""


def skip_without_validators() -> None:
    """Skip the test, with a word on how to get the tools, where one is missing."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    missing += [] if PIXELMED.exists() else [PIXELMED.name]
    if missing:
        pytest.skip(f"validators: {', '.join(missing)} not installed; {INSTALL}")


def validation_errors(files: Sequence[Path]) -> list[str]:
    """Run dciodvfy and DCMTK over the files and return their complaints, each with the file's name."""
    return [f"{file.name}: {line}" for file in files for line in _errors_of_one(file)]


def pixelmed_errors(reports: Sequence[Path]) -> list[str]:
    """Run PixelMed's check of the SR templates over the reports and return its complaints.

    It takes about half a second for each Measurement Group: give it reports that have one of each kind.
    """
    return list(_pixelmed_errors(reports))


def _errors_of_one(file: Path) -> Iterator[str]:
    if _run("dcmftest", file).returncode:
        yield "dcmftest: not a DICOM Part 10 file"
    verdict = _run("dciodvfy", "-new", file)
    yield from (f"dciodvfy: {line}" for line in _lines(verdict) if line.startswith("Error"))
    if _modality(file) in ("SR", "KO") and _run("dsrdump", file).returncode:
        yield "dsrdump: cannot be read"
    if _modality(file) == "PR" and not any("Test passed" in line for line in _lines(_run("dcmpschk", file))):
        yield "dcmpschk: not passed"


def _pixelmed_errors(reports: Sequence[Path]) -> Iterator[str]:
    """Validate all reports in one JVM; a validator that breaks or leaves a file out is an error too."""
    # Most of its time goes into style sheets that are run once: the second compiler costs more than it saves.
    java = ("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", PIXELMED)
    verdict = _run(*java, SR_VALIDATE, *reports, limit_s=300 + 60 * len(reports))
    lines = _lines(verdict)
    if verdict.returncode or sum(line.startswith("File ") for line in lines) != len(reports):
        yield f"PixelMed broke: {' '.join(lines)[-300:]}"
    name = ""
    for line in lines:
        if line.startswith("File "):
            name = Path(line.removeprefix("File ")).name
        elif line.startswith("Error") and not TOLERATED.search(line):
            yield f"{name}: PixelMed: {line}"


def _modality(file: Path) -> str:
    return str(dcmread(file, specific_tags=["Modality"]).get("Modality", ""))


def _lines(verdict: subprocess.CompletedProcess[str]) -> list[str]:
    return (verdict.stdout + verdict.stderr).splitlines()


def _run(*command: str | Path, limit_s: float = 300) -> subprocess.CompletedProcess[str]:
    # The tools quote values in the character set of the file.
    words = [str(part) for part in command]
    return subprocess.run(words, capture_output=True, text=True, errors="replace", check=False, timeout=limit_s)
