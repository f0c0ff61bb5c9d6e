"""The gateway.yaml that we ship: every setting stands in it, with its default."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from gateway.__main__ import EXIT_UNUSABLE, main
from gateway.settings import Settings
from tests.conftest import ROOT

SHIPPED = ROOT / "gateway.yaml"


def test_every_setting_stands_in_it_with_its_default() -> None:
    values = yaml.safe_load(SHIPPED.read_text())
    assert values == yaml.safe_load(yaml.safe_dump(Settings().model_dump(mode="json")))


def test_every_setting_is_described() -> None:
    blocks: list[type[BaseModel]] = [Settings]
    seen: set[type[BaseModel]] = set()
    while blocks:
        block = blocks.pop()
        seen.add(block)
        for name, field in block.model_fields.items():
            inner = [kind for kind in _models(field.annotation) if kind not in seen]
            blocks += inner
            assert field.description or _models(field.annotation), f"{block.__name__}.{name} has no description"
    assert len(seen) == 11


def _models(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [kind for part in getattr(annotation, "__args__", ()) for kind in _models(part)]


def test_check_config_says_what_would_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", "--config", str(SHIPPED)]) == 0
    said = capsys.readouterr().out
    assert "receive   CANDOR at 0.0.0.0:11112, without TLS, from anybody: name the callers before going live" in said
    assert "deliver   nowhere" in said
    assert "page      http://127.0.0.1:8080" in said
    assert "health    http://127.0.0.1:8081/healthz, /readyz, /metrics" in said


def test_check_config_names_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "app.yaml").touch()
    config = tmp_path / "gateway.yaml"
    config.write_text("")
    assert main(["check-config", "--config", str(config)]) == EXIT_UNUSABLE
    assert "work.models:" in capsys.readouterr().err
    (tmp_path / "models").mkdir()
    tls = "{certificate: a.pem, key: b.pem, authorities: c.pem}"
    config.write_text(
        "receive: {callers: [{ae_title: CT1}]}\n"
        f"destinations:\n- {{name: pacs, ae_title: P, host: h, port: 104, commitment: true, tls: {tls}}}\n"
        "- {name: old, ae_title: O, host: h, port: 104, kinds: [sr, ko], report_class: enhanced, "
        "flag_deferrals: true}\n"
    )
    assert main(["check-config", "--config", str(config)]) == EXIT_UNUSABLE
    assert f"destinations.pacs.tls.certificate: {tmp_path}/a.pem is not there" in capsys.readouterr().err
    for name in "abc":
        (tmp_path / f"{name}.pem").touch()
    assert main(["check-config", "--config", str(config)]) == 0
    said = capsys.readouterr().out
    assert "from CT1" in said
    assert "deliver   sr, sc, gsps, ko to pacs: P at h:104, asks for storage commitment" in said
    assert "deliver   sr (enhanced), ko to old: O at h:104, flags deferrals" in said
