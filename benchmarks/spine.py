"""The path of a study, measured: engine, heatmaps, stages, start, and a long resident run.

    python -m benchmarks.spine [--models models] [--studies 200] [--rounds 15]

The radiograph is pydicom-data's Philips CR (1955 x 1841, 15 bit). Ratios are medians of interleaved pairs.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import onnxruntime
import torch
from pydicom import dcmread
from pydicom.data import get_testdata_file

from app import ResidentApplication
from benchmarks.engines import as_served, maps_over_forward
from benchmarks.timing import milliseconds
from candor.model.bundle import find_bundle, load_bundle
from candor.settings import Settings
from candor.study.provenance import derived_uid
from operators.graph.jobs import Job, JobResult

ROOT = Path(__file__).resolve().parent.parent


def studies(folder: Path, count: int) -> list[Path]:
    """Write the sample as ``count`` studies with UIDs of their own; folders of one instance each."""
    source = dcmread(str(get_testdata_file("RG1_UNCI.dcm", download=False)))
    folders = []
    for number in range(count):
        source.StudyInstanceUID, source.SeriesInstanceUID, source.SOPInstanceUID = (
            derived_uid("benchmark", level, str(number)) for level in ("study", "series", "instance")
        )
        source.file_meta.MediaStorageSOPInstanceUID = source.SOPInstanceUID
        target = folder / f"{number:04}"
        target.mkdir()
        source.save_as(target / "image.dcm")
        folders.append(target)
    return folders


def resident_memory_mib() -> float:
    """Return this process's resident set now."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def long_run(models: Path, count: int) -> None:
    """Send many studies through one resident application; print its stages, its rate and its memory."""
    with tempfile.TemporaryDirectory() as name, ResidentApplication(models, Settings()) as application:
        folder = Path(name)
        inputs = studies(folder, 10)
        results: list[JobResult] = []
        memory: list[float] = []
        began = time.perf_counter()
        for number in range(count):
            output = folder / "out"
            output.mkdir()
            results.append(application.submit(Job(inputs[number % 10], output)).result())
            shutil.rmtree(output)
            memory.append(resident_memory_mib())
        elapsed = time.perf_counter() - began
    cases = [case for result in results for case in result.cases]
    if any(case.failure or not case.images[0].assessed for case in cases):
        raise SystemExit("a study of the long run failed; its figures mean nothing")
    print("\nstages of a study (one CR of 1955 x 1841, uncompressed), median")
    total = 0.0
    for stage in cases[0].seconds:
        stage_s = statistics.median(case.seconds[stage] for case in cases)
        total += stage_s
        print(f"  {stage:<16}{1e3 * stage_s:8.1f} ms")
    print(f"  {'all stages':<16}{1e3 * total:8.1f} ms")
    print(f"\n{count} studies through one resident application: {elapsed:.1f} s, {count / elapsed:.2f} a second")
    print(f"  memory after study 1: {memory[0]:.0f} MiB, 10: {memory[9]:.0f} MiB, {count}: {memory[-1]:.0f} MiB")


FIRST_RESULT = """
import sys
from pathlib import Path
from app import ResidentApplication
from candor.settings import Settings
from operators.graph.jobs import Job
with ResidentApplication(Path(sys.argv[1]), Settings()) as application:
    result = application.submit(Job(Path(sys.argv[2]), Path(sys.argv[3]))).result()
    print(result.index, flush=True)
    sys.stdin.read()
"""


def first_result(models: Path, rounds: int = 5) -> None:
    """Print the time from starting the process to its first result."""
    seconds = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "out").mkdir()
            source = studies(folder, 1)[0]
            began = time.perf_counter()
            command = [sys.executable, "-c", FIRST_RESULT, str(models), str(source), str(folder / "out")]
            process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            if process.stdout is None or not process.stdout.readline():
                raise SystemExit("the service did not reach its first result")
            seconds.append(time.perf_counter() - began)
            process.communicate()
    print(f"\nstart of the service to its first result: {milliseconds(seconds)}  (goal: at most 5000 ms)")


def main() -> None:
    """Run all measurements and print them."""
    parser = argparse.ArgumentParser(description="Measure the path of a study.")
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    bundle = load_bundle(find_bundle(options.models))
    print(f"{bundle.name} {bundle.version}, {bundle.architecture}; torch {torch.__version__}, ", end="")
    print(f"ONNX Runtime {onnxruntime.__version__}")
    maps_over_forward(bundle, options.rounds)
    as_served()
    first_result(options.models)
    long_run(options.models, options.studies)


if __name__ == "__main__":
    main()
