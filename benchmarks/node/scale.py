"""How many studies an hour one worker assesses, and two: what the arithmetic of scaling out rests on.

    python -m benchmarks.node.scale [--studies 40] [--workers 1 2] [--database URL] [--models models]

Studies of one radiograph (pydicom-data's Philips CR, 1955 x 1841) wait in the queue before the workers start, and the
PACS is a receiver that only counts. The rate is that between the first and the last result, so that no start is in it;
beside it the processor time of all workers and their largest memory. A database for several machines is named by
--database; without one the node keeps its own file.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from benchmarks.node.crash import Node, Pacs, accepts, send, wait_for
from benchmarks.node.loop import sample
from gateway.store.schema import studies
from gateway.store.states import StudyState

_HOUR_S = 3600.0
_WAIT_S = 600.0


@dataclass(frozen=True, slots=True)
class Rate:
    """What some workers did together."""

    workers: int
    studies_an_hour: float
    processor_s: float
    memory_mib: float


def measure(folder: Path, models: Path, workers: int, number: int, database: str | None) -> Rate:
    """Queue studies, let workers at them, and see how fast they become results.

    Parameters
    ----------
    number
        Of studies, at least 2.
    database
        An empty one; None for a file of the node's own.
    """
    pacs = Pacs(folder / "pacs")
    node = Node(folder / "node", models, pacs.port, **({"database": database} if database else {}))
    pacs.start()
    node.start("--without", "work", "--without", "web")
    crew: list[subprocess.Popen[bytes]] = []
    try:
        wait_for(lambda: accepts(node.port), _WAIT_S, "the receiver")
        for k in range(number):
            send(node.port, sample(k))
        wait_for(lambda: _in_state(node, StudyState.WAITING) == number, _WAIT_S, "the queue")
        crew = [node.another_worker() for _ in range(workers)]
        wait_for(lambda: _in_state(node, StudyState.STORED) == number, _WAIT_S, "all results")
        used = [_usage(worker.pid) for worker in crew]
        with node.database().connect() as connection:
            first, last = connection.execute(
                sa.select(sa.func.min(studies.c.assessed), sa.func.max(studies.c.assessed))
            ).one()
    finally:
        for worker in crew:
            worker.terminate()
            worker.wait(90)
        node.stop()
        pacs.stop()
    rate = (number - 1) / (last - first) * _HOUR_S
    return Rate(workers, rate, sum(seconds for seconds, _ in used), max(memory for _, memory in used))


def _in_state(node: Node, state: StudyState) -> int:
    with node.database().connect() as connection:
        found = sa.select(sa.func.count()).select_from(studies).where(studies.c.state == state.value)
        return connection.execute(found).scalar_one()


def _usage(pid: int) -> tuple[float, float]:
    """Processor time in seconds and the largest resident memory in MiB that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    status = Path(f"/proc/{pid}/status").read_text()
    (peak,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return ticks / os.sysconf("SC_CLK_TCK"), int(peak) / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--database", nargs="+", help="an empty database for each number of workers")
    parser.add_argument("--models", type=Path, default=Path("models"))
    options = parser.parse_args()
    databases = options.database or [None] * len(options.workers)
    print(f"{os.cpu_count()} cores, {options.studies} studies of one radiograph")
    for workers, database in zip(options.workers, databases, strict=True):
        with tempfile.TemporaryDirectory() as folder:
            rate = measure(Path(folder), options.models, workers, options.studies, database)
        print(
            f"{rate.workers} worker{'s' * (rate.workers > 1)}: {rate.studies_an_hour:,.0f} studies an hour, "
            f"{rate.processor_s / options.studies:.2f} s of processor time a study (start included), "
            f"{rate.memory_mib:.0f} MiB at most"
        )


if __name__ == "__main__":
    main()
