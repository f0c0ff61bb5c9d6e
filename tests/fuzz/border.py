"""The reader's border under atheris: ``python -m tests.fuzz.border FOLDER [libFuzzer's options]``.

Whatever the bytes, reading ends in a data set and a picture or in ``Refused``; anything else is a crash here. The
folder holds the corpus. Its first line of output names what runs, its last libFuzzer's count.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(
    include=[
        "candor.dicom",
        "pydicom.filereader",
        "pydicom.fileutil",
        "pydicom.values",
        "pydicom.hooks",
        "pydicom.encaps",
    ],
    enable_loader_override=False,
):
    from candor.dicom.read.decode import decode
    from candor.dicom.read.file import read_header
    from candor.dicom.read.greyscale import GreyScale
    from candor.dicom.read.select import check
    from candor.dicom.shared.identity import fingerprint
    from candor.study.errors import Refused

SIDE = 4


def read(path: Path) -> None:
    """Do to a file what the application does, up to its stored values."""
    header = read_header(path)
    fingerprint(header, "")
    with suppress(Refused):
        check(header, SIDE)
    GreyScale.of(header)
    decode(path, header)


def main() -> None:
    """Fuzz until the runs are done; libFuzzer ends the process."""
    with TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        path = Path(folder, "input")

        def one_input(data: bytes) -> None:
            path.write_bytes(data)
            with suppress(Refused):
                read(path)

        atheris.Setup(sys.argv, one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
