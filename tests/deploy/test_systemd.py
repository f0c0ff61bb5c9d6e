"""The unit file: systemd takes it, and it starts the node as the node is started."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from candor.command_line import verb_parser
from gateway.__main__ import ADDERS
from tests.conftest import ROOT

UNIT = ROOT / "deploy" / "systemd" / "candor.service"


@pytest.fixture
def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names in upper and lower case
    parser.read_string(UNIT.read_text())
    return parser


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """With programs and folders that there are here, since systemd looks for them."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd is not installed here")
    text = UNIT.read_text().replace("/opt/candor/.venv/bin/python", sys.executable)
    text = text.replace("User=candor", "User=root").replace("Group=candor", "Group=root")
    text = text.replace("/opt/candor", str(ROOT))
    copy = tmp_path / UNIT.name
    copy.write_text(text)
    ran = subprocess.run([analyze, "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False)
    ours = [line for line in ran.stderr.splitlines() if UNIT.name in line]
    assert ours == []
    copy.write_text(text.replace("ProtectSystem", "ProtectSistem"))
    ran = subprocess.run([analyze, "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False)
    assert "ProtectSistem" in ran.stderr


def test_the_unit_starts_what_there_is_and_starts_it_again(unit: configparser.ConfigParser) -> None:
    service = unit["Service"]
    _, dash, module, *arguments = service["ExecStart"].split()
    assert (dash, module, arguments[0]) == ("-m", "gateway", "serve")
    options = verb_parser("gateway", "", ADDERS).parse_args(arguments)
    assert options.drain_s < float(service["TimeoutStopSec"])
    assert (service["Restart"], service["Type"], service["LimitCORE"]) == ("always", "notify", "0")
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"  # a database that is away for long is no reason to give up
    assert float(service["WatchdogSec"]) >= 60


def test_the_unit_gives_the_node_no_more_than_it_needs(unit: configparser.ConfigParser) -> None:
    service = unit["Service"]
    assert service["User"] == "candor"
    assert service["CapabilityBoundingSet"] == ""
    for name in ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "ProtectKernelModules", "RestrictNamespaces"):
        assert service[name] == "true"
    assert service["ProtectSystem"] == "strict"
