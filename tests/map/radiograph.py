"""A real radiograph, and what ``python app.py`` says of it outside any container."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from pydicom.data import get_testdata_file

from tests.conftest import DATA, ROOT

SAMPLE = "RG1_UNCI.dcm"
TIME = 1_767_225_600


def real_radiograph(folder: Path) -> Path:
    """Put one real radiograph into a fresh folder: of the data beside the repository, else of pydicom-data."""
    beside = DATA / "dicom" / "chest" / "Spoksonat__cxr.dcm"
    source = beside if beside.exists() else get_testdata_file(SAMPLE, download=False)
    assert source is not None
    folder.mkdir()
    shutil.copy2(str(source), folder / "a.dcm")
    return folder


def run_outside(study: Path, output: Path) -> Path:
    """Run the application from the repository, and return its output folder."""
    command = [sys.executable, "-W", "ignore", str(ROOT / "app.py"), "-i", str(study), "-o", str(output)]
    done = subprocess.run([*command, "-m", str(ROOT / "models")], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return output
