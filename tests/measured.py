"""Run a command and write down the largest memory that it, or a child of its own, has had.

    python -m tests.measured FILE COMMAND ...

A process begins with the peak of whoever started it: one that the tests start has the tests' own. This one has little,
and what it starts has its.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path


def main(file: str, *command: str) -> int:
    """Run the command; write MiB into the file, and return its exit code."""
    code = subprocess.run(command).returncode
    Path(file).write_text(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024))
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
