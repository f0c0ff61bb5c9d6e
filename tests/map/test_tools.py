"""The MAP's entry, run without a container on folders laid out as in the image."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT

ENTRY = ROOT / "deploy" / "map" / "tools"
APPLICATION = """import os, signal, sys, time
from pathlib import Path
print(sys.argv[1:], os.getpid(), flush=True)
if "wait" in sys.argv:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    Path(sys.argv[2]).touch()
    time.sleep(60)
sys.exit(int(os.environ["CODE"]))
"""


@pytest.fixture
def image(tmp_path: Path) -> dict[str, str]:
    """The variables of an image whose folders lie in ``tmp_path``."""
    for name in ("app", "models/cxr", "docs", "output", "bin"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    (tmp_path / "app" / "__main__.py").write_text(APPLICATION)
    (tmp_path / "models" / "cxr" / "weights").touch()
    (tmp_path / "docs" / "LICENSE").touch()
    for name, text in (("app.json", '{"a": 1}\n'), ("pkg.json", '{"p": 2}\n'), ("app.yaml", "candor:\n")):
        (tmp_path / name).write_text(text)
    return {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "CODE": "0",
        "CANDOR_EXPORT_ROOT": str(tmp_path / "export"),
        "HOLOSCAN_APPLICATION": str(tmp_path / "app"),
        "HOLOSCAN_OUTPUT_PATH": str(tmp_path / "output"),
        "HOLOSCAN_MODEL_PATH": str(tmp_path / "models"),
        "HOLOSCAN_CONFIG_PATH": str(tmp_path / "app.yaml"),
        "HOLOSCAN_APP_MANIFEST_PATH": str(tmp_path / "app.json"),
        "HOLOSCAN_PKG_MANIFEST_PATH": str(tmp_path / "pkg.json"),
        "HOLOSCAN_DOCS": str(tmp_path / "docs"),
    }


def entry(image: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ENTRY, *words], env=image, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", [(), ("--version",), ("run", "--version", "a b")])
@pytest.mark.parametrize("code", [0, 1, 2, 77])
def test_a_run_is_the_application_with_its_own_exit_code(
    image: dict[str, str], words: tuple[str, ...], code: int
) -> None:
    done = entry(image | {"CODE": str(code)}, *words)
    assert done.returncode == code
    assert str([word for word in words if word != "run"]) in done.stdout


def test_the_application_takes_the_place_of_the_entry_and_its_signals(image: dict[str, str], tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with subprocess.Popen([ENTRY, "run", "wait", str(ready)], env=image, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(1200):
            if ready.exists():
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f" {process.pid}\n" in said


def test_show_prints_the_manifests(image: dict[str, str]) -> None:
    assert entry(image, "show").stdout == '{"a": 1}\n{"p": 2}\n'
    assert entry(image, "show", "pkg").stdout == '{"p": 2}\n'
    assert entry(image, "show", "other").returncode == 2


def test_env_and_help_print(image: dict[str, str]) -> None:
    lines = entry(image, "env").stdout.splitlines()
    assert lines == sorted(f"{name}={value}" for name, value in image.items() if name.startswith("HOLOSCAN_"))
    said = entry(image, "help").stdout
    assert all(f"\n  {word}" in said for word in ("run", "show", "extract", "env", "health", "help"))
    assert "Research use only, not for diagnosis" in said


def test_what_is_not_known_is_refused(image: dict[str, str]) -> None:
    done = entry(image, "bash")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "candor: 'bash' is not known; help lists what is\n"


@pytest.mark.parametrize("mounted", [(), ("config",), ("app", "models"), ("docs",)])
def test_extract_fills_the_folders_that_are_mounted_or_else_all(
    image: dict[str, str], tmp_path: Path, mounted: tuple[str, ...]
) -> None:
    export = tmp_path / "export"
    export.mkdir()
    for name in mounted:
        (export / name).mkdir()
    assert entry(image, "extract").returncode == 0
    contents = {
        "app": {"app/__main__.py"},
        "config": {"config/app.yaml", "config/app.json", "config/pkg.json"},
        "models": {"models/cxr/weights"},
        "docs": {"docs/LICENSE"},
    }
    expected = set().union(*(contents[name] for name in mounted or contents))
    assert {path.relative_to(export).as_posix() for path in export.rglob("*") if path.is_file()} == expected


def test_extract_without_a_mounted_folder_says_what_to_do(image: dict[str, str]) -> None:
    done = entry(image, "extract")
    assert done.returncode == 2
    assert "mount a folder" in done.stderr


def test_extract_fails_when_it_cannot_copy(image: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "export" / "config").mkdir(parents=True)
    (tmp_path / "app.json").unlink()
    assert entry(image, "extract").returncode == 1


def test_health_looks_for_what_a_run_needs(image: dict[str, str], tmp_path: Path) -> None:
    assert entry(image, "health").returncode == 0
    (tmp_path / "pkg.json").unlink()
    assert entry(image, "health").returncode == 1
