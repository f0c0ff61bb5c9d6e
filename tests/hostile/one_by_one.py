"""Give the application one file after another, each as a job of its own, and say what it cost and what came of it.

    python -m tests.hostile.one_by_one MODELS FOLDER

One line of JSON for each file: name, seconds, mebibytes (peak of this process and its decoder), and the reason, "" for
an assessed image, or the error of a folder without a readable file.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from app import Job, ResidentApplication, quiet_libraries
from candor.settings import Settings
from candor.study.errors import InputError


def main(models: Path, folder: Path) -> None:
    """Assess every file below a folder."""
    quiet_libraries()
    with ResidentApplication(models, Settings()) as application:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            with tempfile.TemporaryDirectory() as scratch:
                line = assess(application, path, Path(scratch))
            print(json.dumps({"name": path.relative_to(folder).as_posix(), **line}), flush=True)


def assess(application: ResidentApplication, path: Path, scratch: Path) -> dict[str, Any]:
    """Assess one file."""
    source, output = scratch / "in", scratch / "out"
    source.mkdir()
    output.mkdir()
    (source / "file").symlink_to(path)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    began = time.monotonic()
    try:
        result = application.submit(Job(source, output)).result()
    except InputError as error:
        outcome = {"error": str(error)}
    else:
        assert not result.failures
        ((image,),) = [case.images for case in result.cases]
        outcome = {"reason": image.refusal.reason.code if image.refusal else ""}
    seconds = time.monotonic() - began
    return {"seconds": seconds, "mebibytes": sum(map(peak, family())), **outcome}


def family() -> list[str]:
    """Process IDs of this process and of its children."""
    children = [Path(f"/proc/self/task/{task.name}/children") for task in Path("/proc/self/task").iterdir()]
    return ["self", *(pid for file in children for pid in file.read_text().split())]


def peak(pid: str) -> float:
    """Largest resident memory of a process in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
