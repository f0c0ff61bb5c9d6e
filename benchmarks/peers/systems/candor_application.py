"""Candor's resident application as a worker.

    python -m benchmarks.peers.systems.candor_application MODELS

For each line "IN OUT" on standard input it works on one study.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from app import ResidentApplication, quiet_libraries
from benchmarks.node.crash import ROOT
from candor.settings import load_settings
from candor.study.case import assert_set
from operators.graph.jobs import Job


def main() -> None:
    """Answer each line with the study's seconds and what the network said of its image."""
    quiet_libraries()
    with ResidentApplication(Path(sys.argv[1]), load_settings(ROOT / "app.yaml")) as application:
        for line in sys.stdin:
            source, output = (Path(word) for word in line.split())
            began = time.perf_counter()
            result = application.submit(Job(source, output)).result()
            seconds = time.perf_counter() - began
            image = result.cases[0].images[0]
            print(json.dumps({"seconds": seconds, "logits": assert_set(image.logits).tolist()}), flush=True)


if __name__ == "__main__":
    main()
