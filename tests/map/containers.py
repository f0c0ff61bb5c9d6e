"""Run the image that the repository builds, as strictly as a hospital would: non-root, read-only, without a network."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deploy.map import build
from tests.conftest import ROOT

STRICT = (
    *("run", "--rm", "--network=none", "--read-only", "--tmpfs", "/tmp", "--cap-drop=all"),
    "--security-opt=no-new-privileges",
)
LIMITS = ("--ulimit", "nofile=20000:20000", "--ulimit", "nproc=20000:20000", "--ulimit", "stack=33554432:33554432")
"""Without its own, podman asks for limits that a container inside another cannot have."""

RUNNERS = (
    ("docker", *STRICT),
    ("podman", *STRICT, "--no-healthcheck"),
    ("podman", *STRICT, "--no-healthcheck", *LIMITS),
    ("podman", "--runtime", "runc", "--cgroup-manager=cgroupfs", *STRICT, "--no-healthcheck", *LIMITS),
)


@dataclass(frozen=True)
class Container:
    """A way to run one image, and folders to mount: where in the container, and whether it may write there."""

    runner: tuple[str, ...]
    image: str
    mounts: dict[str, Path] = field(default_factory=dict)

    def command(self, *words: str, options: Sequence[str] = ()) -> list[str]:
        """The command that runs the image with these words."""
        volumes = [f"--volume={source}:{place}" for place, source in self.mounts.items()]
        return [*self.runner, *volumes, *options, self.image, *words]

    def __call__(self, *words: str, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(self.command(*words, options=options), capture_output=True, text=True, check=False)

    def mounted(self, mounts: dict[str, Path]) -> Container:
        """The same with other folders."""
        return Container(self.runner, self.image, mounts)

    @property
    def tool(self) -> str:
        """``docker`` or ``podman``."""
        return self.runner[0]

    def inspect(self) -> Any:
        """What the tool knows of the image."""
        told = subprocess.run([self.tool, "image", "inspect", self.image], capture_output=True, check=True)
        return json.loads(told.stdout)[0]


def built(target: str, help_words: Sequence[str]) -> Container:
    """Build an image of this very tree and find a way to run it, or skip the test with a loud word.

    Layers that have not changed are taken from the builder's cache; two test processes build one after the other.
    """
    command = [sys.executable, "-m", "deploy.map.build", "--target", target]
    with (Path(tempfile.gettempdir()) / "candor-image-build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == build.EXIT_NO_TOOL:
        pytest.skip(f"THE IMAGE WAS NOT BUILT AND NOT RUN: {done.stderr.strip()}")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    image = build.default_tag(target)
    runner = find_runner(image, help_words)
    if runner is None:
        pytest.skip("THE IMAGE WAS BUILT BUT NOT RUN: neither docker nor podman can start a container here")
    return Container(runner, image)


def find_runner(image: str, words: Sequence[str]) -> tuple[str, ...] | None:
    """Find a way to run containers here that works for this image; None where there is none."""
    for runner in RUNNERS:
        if shutil.which(runner[0]) is None:
            continue
        command = [*runner, image, *words]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return runner
    return None


def writable(folder: Path) -> Path:
    """Make a folder that any user can write: the container's is another than ours."""
    folder.mkdir()
    folder.chmod(0o777)
    return folder
