"""Files that are whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from candor.files.durable import whole_file


def test_the_file_is_whole_and_alone(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a") as file:
        file.write(b"new")
        assert not (tmp_path / "a").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"new"


def break_off(path: Path) -> None:
    with whole_file(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt


def test_a_failure_leaves_what_was_there_before(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        break_off(tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_the_order_is_write_sync_rename_sync_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    monkeypatch.setattr("candor.files.durable.os.fsync", lambda _: steps.append("file synchronised"))
    monkeypatch.setattr("candor.files.durable.sync_folder", lambda _: steps.append("folder synchronised"))
    true_replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, to: (steps.append("renamed"), true_replace(self, to))[1])
    with whole_file(tmp_path / "a") as file:
        file.write(b"new")
        steps.append("written")
    assert steps == ["written", "file synchronised", "renamed", "folder synchronised"]
