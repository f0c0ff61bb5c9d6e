"""Build the images with docker, podman or buildah. Only Python's standard library is needed.

    python -m deploy.map.build                        the MAP, candor-map:VERSION
    python -m deploy.map.build --target gateway       the node, candor-gateway:VERSION
    python -m deploy.map.build --cuda                 with torch for a GPU

pip's configuration and a proxy's certificate authority are passed as build secrets, so the build uses the same package
index as this machine, and no layer holds them. Wheels in folders that pip searches are passed to the build too.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent
BASE_IMAGE: Final = "docker.io/library/python:3.11-slim-bookworm"
HOMEMADE_BASE: Final = "localhost/candor-base:bookworm"
TOOLS: Final = ("docker", "podman", "buildah")
TARGETS: Final = ("map", "gateway")
EXIT_NO_TOOL: Final = 3

_OPTION: Final = re.compile(r"^(?P<scope>[^.]+)\.(?P<name>[a-z-]+)='(?P<value>.*)'$")
_OF_THE_HOST: Final = ("cert", "find-links", "constraint", "requirement", "cache-dir", "user", "target", "prefix")


class Unavailable(Exception):
    """The image cannot be built here, because something that it needs is missing."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Build one image; return 3 where nothing here can build it, else the builder's exit code."""
    parser = argparse.ArgumentParser("python -m deploy.map.build", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--target", choices=TARGETS, default="map")
    parser.add_argument("--tool", choices=TOOLS, help="by default the first that works")
    parser.add_argument("--base", help=f"base image with Python 3.11 (default: {BASE_IMAGE}, else one from Debian)")
    parser.add_argument("--tag", help="by default candor-TARGET:VERSION")
    parser.add_argument("--cuda", action="store_true", help="torch for a GPU")
    options = parser.parse_args(arguments)
    try:
        tool = options.tool or find_tool()
        base = options.base or find_base(tool)
    except Unavailable as error:
        print(f"candor: {error}", file=sys.stderr)
        return EXIT_NO_TOOL
    tag = options.tag or default_tag(options.target)
    with tempfile.TemporaryDirectory() as folder:
        extra = fetch_arguments(pip_options(), os.environ, Path(folder), cuda=options.cuda)
        command = [*build_command(tool), "--target", options.target, "--tag", tag, "--build-arg", f"BASE_IMAGE={base}"]
        command += ["--build-arg", f"REVISION={revision()}", *extra, str(ROOT)]
        print(f"candor: building {tag} with {tool} on {base} ...", flush=True)
        return subprocess.run(command, check=False).returncode


def find_tool() -> str:
    """Return the first tool that works; docker needs its daemon.

    Raises
    ------
    Unavailable
        There is none.
    """
    for tool in TOOLS:
        if shutil.which(tool) and subprocess.run([tool, "info"], capture_output=True, check=False).returncode == 0:
            return tool
    raise Unavailable("none of docker, podman and buildah works here; on Debian: apt-get install buildah podman runc")


def build_command(tool: str) -> list[str]:
    """Return a tool's build command; without a daemon the steps run in a chroot, with the host's network."""
    if tool == "docker":
        return ["docker", "build"]
    return [tool, "build", "--isolation", "chroot", "--format", "docker", "--layers", "--pull-never"]


def find_base(tool: str) -> str:
    """Return the base image; where it cannot be pulled, one is made of Debian's packages.

    Raises
    ------
    Unavailable
        Neither is possible.
    """
    if tool == "docker" or _succeeds(tool, "pull", "--quiet", BASE_IMAGE):
        return BASE_IMAGE  # docker pulls it during the build
    if _succeeds(tool, "inspect", "--type", "image", HOMEMADE_BASE):
        return HOMEMADE_BASE
    if not shutil.which("mmdebstrap"):
        raise Unavailable(f"{BASE_IMAGE} cannot be fetched; name another with --base, or apt-get install mmdebstrap")
    print(f"candor: {BASE_IMAGE} cannot be fetched; making a base image of Debian's packages ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        packages = "--include=python3,python3-venv,ca-certificates"
        if not _succeeds("mmdebstrap", "--variant=minbase", packages, "bookworm", f"{folder}/base.tar"):
            raise Unavailable("Debian's packages cannot be fetched either; name a base image with --base")
        Path(folder, "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
        if not _succeeds(*build_command(tool), "--tag", HOMEMADE_BASE, folder):
            raise Unavailable(f"{tool} cannot build at all; try its command by hand")
    return HOMEMADE_BASE


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def default_tag(target: str) -> str:
    """Return the tag of an image, from its target and the application's version."""
    found = re.search(r'^__version__ = "(.+)"$', (ROOT / "candor" / "__init__.py").read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError("candor/__init__.py names no version")
    return f"candor-{target}:{found[1]}"


def revision() -> str:
    """Return the commit that is built, with ``-dirty`` where files differ from it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def pip_options() -> dict[str, str]:
    """Return pip's effective configuration, from its files and from the environment."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return parse_options(done.stdout)


def parse_options(listed: str) -> dict[str, str]:
    """Return the options in ``pip config list``; the environment overrides ``install``, which overrides ``global``."""
    found = [match for line in listed.splitlines() if (match := _OPTION.match(line))]
    order = {"global": 0, "install": 1, ":env:": 2}
    found.sort(key=lambda match: order.get(match["scope"], -1))
    return {match["name"]: match["value"] for match in found if match["scope"] in order}


def fetch_arguments(
    options: Mapping[str, str], environment: Mapping[str, str], folder: Path, *, cuda: bool
) -> list[str]:
    """Return the arguments that make the build fetch packages as this machine does.

    Parameters
    ----------
    options
        pip's options, by name without dashes.
    environment
        The environment's variables, which may name a certificate authority.
    folder
        Folder for the files that are passed to the build; it must exist until the build ends.
    cuda
        Whether torch is installed for a GPU.
    """
    lines, arguments = ["[global]"], []
    lines += [f"{name} = {value}" for name, value in _for_anywhere(options).items()]
    authority = options.get("cert") or environment.get("REQUESTS_CA_BUNDLE") or environment.get("SSL_CERT_FILE")
    if authority and Path(authority).is_file():
        lines.append("cert = /run/secrets/ca.pem")
        arguments += ["--secret", f"id=ca.pem,src={authority}"]
    (folder / "pip.conf").write_text("\n".join(lines) + "\n")
    arguments += ["--secret", f"id=pip.conf,src={folder / 'pip.conf'}"]
    wheels = _wheels(options)
    if wheels:
        _link_wheels(wheels, folder / "wheels")
        arguments += ["--build-context", f"wheels={folder / 'wheels'}"]
    if cuda:
        arguments += ["--build-arg", f"TORCH={_pinned('torch')}", "--build-arg", "TORCH_INDEX="]
    elif any(wheel.name.startswith("torch-") for wheel in wheels):
        arguments += ["--build-arg", "TORCH_INDEX="]  # there is a wheel already
    return arguments


def _for_anywhere(options: Mapping[str, str]) -> dict[str, str]:
    """Return the options without those that only apply to this machine: its paths, and indexes in its folders."""
    kept = {}
    for name, value in options.items():
        remote = " ".join(word for word in value.split() if not word.startswith("file:"))
        if name not in _OF_THE_HOST and remote:
            kept[name] = remote
    return kept


def _wheels(options: Mapping[str, str]) -> list[Path]:
    folders = [Path(word.removeprefix("file://")) for word in options.get("find-links", "").split()]
    return sorted(wheel for folder in folders if folder.is_dir() for wheel in folder.glob("*.whl"))


def _link_wheels(wheels: Sequence[Path], folder: Path) -> None:
    """Put wheels into one folder, as hard links where possible, else as copies."""
    folder.mkdir()
    for wheel in wheels:
        try:
            (folder / wheel.name).hardlink_to(wheel)
        except OSError:
            shutil.copyfile(wheel, folder / wheel.name)


def _pinned(package: str) -> str:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{package}=="))


if __name__ == "__main__":
    sys.exit(main())
