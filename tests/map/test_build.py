"""The build's own choices: which tool, which base, what of pip's configuration goes along."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from candor import __version__
from deploy.map import build, requirements
from tests.conftest import ROOT

STAND_IN = """#!{python}
import json, sys
with open({record!r}, "a") as record:
    record.write(json.dumps([{name!r}, *sys.argv[1:]]) + "\\n")
sys.exit({code} if sys.argv[1] in {fails!r} else 0)
"""


class Bench:
    """A PATH with stand-ins alone, and what they were asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = folder / "record.jsonl"

    def install(self, name: str, *, fails: tuple[str, ...] = (), code: int = 1) -> None:
        text = STAND_IN.format(python=sys.executable, record=str(self.record), name=name, fails=fails, code=code)
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o755)

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in self.record.read_text().splitlines()]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(build, "pip_options", dict)
    monkeypatch.setattr(build, "revision", lambda: "abc")
    return Bench(folder)


def test_docker_is_taken_where_its_daemon_answers(bench: Bench) -> None:
    bench.install("docker")
    bench.install("podman")
    assert build.main([]) == 0
    assert bench.calls[-1][:2] == ["docker", "build"]
    assert "BASE_IMAGE=docker.io/library/python:3.11-slim-bookworm" in bench.calls[-1]
    assert f"candor-map:{__version__}" in bench.calls[-1]


def test_without_a_daemon_the_next_tool_builds_in_a_chroot(bench: Bench) -> None:
    bench.install("docker", fails=("info",))
    bench.install("buildah")
    assert build.main(["--target", "gateway", "--tag", "mine", "--base", "python"]) == 0
    call = bench.calls[-1]
    assert call[:4] == ["buildah", "build", "--isolation", "chroot"]
    assert [call[call.index(name) + 1] for name in ("--target", "--tag")] == ["gateway", "mine"]
    assert {"BASE_IMAGE=python", "REVISION=abc"} <= set(call)
    assert call[-1] == str(ROOT)


def test_the_builder_s_exit_code_is_passed_on(bench: Bench) -> None:
    bench.install("docker", fails=("build",), code=17)
    assert build.main([]) == 17


def test_without_any_tool_it_says_what_to_install(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main([]) == build.EXIT_NO_TOOL
    assert "apt-get install buildah podman runc" in capsys.readouterr().err


def test_where_no_registry_answers_the_base_is_made_of_debian_s_packages(bench: Bench) -> None:
    bench.install("buildah", fails=("pull", "inspect"))
    bench.install("mmdebstrap")
    assert build.main([]) == 0
    made, base, image = bench.calls[-3:]
    assert made[0] == "mmdebstrap"
    assert base[base.index("--tag") + 1] == build.HOMEMADE_BASE
    assert f"BASE_IMAGE={build.HOMEMADE_BASE}" in image


def test_a_homemade_base_is_made_once(bench: Bench) -> None:
    bench.install("podman", fails=("pull",))
    assert build.main([]) == 0
    assert f"BASE_IMAGE={build.HOMEMADE_BASE}" in bench.calls[-1]


@pytest.mark.parametrize(
    ("mmdebstrap", "says"), [(None, "name another with --base"), (1, "Debian's packages cannot be fetched either")]
)
def test_without_any_base_it_says_what_to_do(
    bench: Bench, capsys: pytest.CaptureFixture[str], mmdebstrap: int | None, says: str
) -> None:
    bench.install("buildah", fails=("pull", "inspect"))
    if mmdebstrap:
        bench.install("mmdebstrap", fails=("--variant=minbase",))
    assert build.main([]) == build.EXIT_NO_TOOL
    assert says in capsys.readouterr().err


def test_a_tool_that_cannot_build_the_base_is_named(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.install("buildah", fails=("pull", "inspect", "build"))
    bench.install("mmdebstrap")
    assert build.main([]) == build.EXIT_NO_TOOL
    assert "buildah cannot build at all" in capsys.readouterr().err


LISTED = """:env:.index-url='https://user:password@index.example.org/simple'
global.cert='/etc/authority.pem'
global.extra-index-url='file:///srv/simple https://more.example.org/simple'
global.find-links='/srv/wheels'
global.index-url='https://other.example.org/simple'
freeze.exclude='pip'
no option
"""


def test_pip_s_configuration_goes_along_but_for_what_only_this_machine_has(tmp_path: Path) -> None:
    options = build.parse_options(LISTED)
    assert "exclude" not in options
    arguments = build.fetch_arguments(options, {}, tmp_path, cuda=False)
    assert sorted((tmp_path / "pip.conf").read_text().splitlines()) == [
        "[global]",
        "extra-index-url = https://more.example.org/simple",
        "index-url = https://user:password@index.example.org/simple",
    ]
    assert arguments == ["--secret", f"id=pip.conf,src={tmp_path / 'pip.conf'}"]
    assert "password" not in " ".join(arguments)


def test_an_authority_goes_along_as_a_secret(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.touch()
    arguments = build.fetch_arguments({}, {"SSL_CERT_FILE": str(authority)}, tmp_path, cuda=False)
    assert f"id=ca.pem,src={authority}" in arguments
    assert "cert = /run/secrets/ca.pem" in (tmp_path / "pip.conf").read_text()


@pytest.mark.parametrize("link", [True, False])
def test_wheels_of_this_machine_are_lent(tmp_path: Path, link: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "srv"
    folder.mkdir()
    (folder / "torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl").write_bytes(b"wheel")
    if not link:
        monkeypatch.setattr(Path, "hardlink_to", _refuse)
    arguments = build.fetch_arguments({"find-links": f"file://{folder} /nowhere"}, {}, tmp_path, cuda=False)
    assert f"wheels={tmp_path / 'wheels'}" in arguments
    assert "TORCH_INDEX=" in arguments
    assert [wheel.read_bytes() for wheel in (tmp_path / "wheels").iterdir()] == [b"wheel"]


def _refuse(*_: object) -> None:
    raise OSError("another file system")


def test_cuda_takes_torch_as_pypi_has_it(tmp_path: Path) -> None:
    arguments = build.fetch_arguments({}, {}, tmp_path, cuda=True)
    assert any(re.fullmatch(r"TORCH=torch==\d+\.\d+\.\d+", word) for word in arguments)
    assert "TORCH_INDEX=" in arguments


def test_pip_and_git_are_asked(capsys) -> None:
    assert isinstance(build.pip_options(), dict)
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", build.revision())


def test_a_tree_without_a_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "candor").mkdir()
    (tmp_path / "candor" / "__init__.py").touch()
    monkeypatch.setattr(build, "ROOT", tmp_path)
    with pytest.raises(RuntimeError, match="names no version"):
        build.default_tag("map")


def test_the_build_needs_nothing_but_the_standard_library() -> None:
    command = [sys.executable, "-S", "-E", "-m", "deploy.map.build", "--help"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False, env=dict(os.environ)).returncode == 0


def test_the_requirements_are_those_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    application = names(asked(capsys, "--extra", "sdk"))
    assert "onnxruntime" in application
    assert "torch" not in application
    assert "dbos" in names(asked(capsys, "--extra", "node"))
    versions = asked(capsys, "--extra", "sdk", "--pinned", str(ROOT / "constraints.txt"))
    assert [line.split("==")[0] for line in versions if not line.startswith("torch==")] == application
    assert all(re.fullmatch(r"[\w-]+==[\w.]+", line) for line in versions)
    assert "torch" in {line.split("==")[0] for line in versions}


def test_a_pin_takes_the_place_of_a_requirement_s_bounds_and_leaves_its_extras(tmp_path: Path) -> None:
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("# pins\nPsycopg==3.3.9\n")
    assert requirements.pinned(["psycopg[binary]>=3.3,<4"], constraints) == ["psycopg[binary]==3.3.9"]
    with pytest.raises(ValueError, match="'>=3' names no package"):
        requirements.pinned([">=3"], constraints)


def test_the_small_installation_needs_all_but_torch_and_the_sdk(capsys: pytest.CaptureFixture[str]) -> None:
    sdk = {"monai", "monai-deploy-app-sdk", "holoscan-cu13", "holoscan-cli", "nvidia-cuda-runtime"}
    assert set(names(asked(capsys, "--extra", "sdk"))) - set(names(asked(capsys))) == sdk
    assert asked(capsys, "--extra", "core") == asked(capsys)


def names(lines: list[str]) -> list[str]:
    return [re.split(r"[\[<>=]", line)[0] for line in lines]


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert requirements.main([str(ROOT / "pyproject.toml"), *words]) == 0
    return capsys.readouterr().out.splitlines()


SECRET = re.compile(r"--mount=type=secret,id=([\w.]+)(\S*)")


def test_the_dockerfile_takes_secrets_where_pip_looks_for_them() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert {match[1] for match in SECRET.finditer(dockerfile)} == {"pip.conf", "ca.pem"}
    assert "PIP_CONFIG_FILE=/run/secrets/pip.conf" in dockerfile


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint is not installed; run 'make setup'")
    done = subprocess.run([hadolint, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
