#!/usr/bin/env python3
"""Stands for a program that cannot do its work in a test: writes down what it was asked, and refuses what is not there.

A cluster, a container engine or a remote repository is not at hand. What can be checked is: every file that is named,
every object of a cluster against the manifests.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

FILES = re.compile(r"(?:--(?:filename|file|kustomize|from-file|config|env-file)=|^-[fk]$)(?:[\w.-]+=)?(.*)")
OBJECT = re.compile(r"^(deployment|statefulset|service|secret|hpa|pvc)/([\w-]+)$")
NAMES = re.compile(r"^  name: ([\w-]+)$", re.MULTILINE)


def files_of(words: Sequence[str]) -> list[str]:
    """Name the files and folders that a command line names; "-" is its standard input."""
    found = []
    for word, following in zip(words, [*words[1:], ""], strict=True):
        named = FILES.match(word)
        if named:
            found.append(named[1] or following)
    return [name for name in found if name != "-"]


def objects_of(words: Sequence[str]) -> list[str]:
    """Name the cluster's objects that a command line names."""
    return [named[2] for word in words if (named := OBJECT.match(word))]


def main() -> int:
    """Write down, and check."""
    program, words = Path(sys.argv[0]).name, sys.argv[1:]
    with Path(os.environ["STAND_IN_LOG"]).open("a") as log:
        log.write(json.dumps([program, *words]) + "\n")
    missing = [name for name in files_of(words) if not Path(name).exists()]
    known = {name for file in Path("deploy/kubernetes").glob("*.yaml") for name in NAMES.findall(file.read_text())}
    missing += [name for name in objects_of(words) if name not in known]
    for name in missing:
        print(f"{program}: {name} is not there", file=sys.stderr)
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
