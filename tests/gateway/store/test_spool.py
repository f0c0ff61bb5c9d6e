"""The spool: whole files or none, names that are hashes, folders that only their owner can read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from gateway.store.spool import Spool

TOKEN = "0123456789abcdef01234567"


def test_a_file_is_named_by_its_hash(spool: Spool) -> None:
    stored = spool.store(b"head", b"body")
    sha256 = hashlib.sha256(b"headbody").hexdigest()
    assert (stored.sha256, stored.bytes) == (sha256, 8)
    assert stored.file == f"instances/{sha256[:2]}/{sha256}.dcm"
    assert spool.path(stored.file).read_bytes() == b"headbody"
    assert spool.path(stored.file).stat().st_mode & 0o777 == 0o600
    assert list(spool.instances()) == [stored.file]


def test_the_same_bytes_keep_their_file(spool: Spool) -> None:
    first = spool.path(spool.store(b"x").file).stat().st_ino
    again = spool.store(b"x")
    assert spool.path(again.file).stat().st_ino == first, "what studies link to stays"
    assert not list((spool.root / "incoming").iterdir())


def test_a_part_that_is_discarded_leaves_nothing(spool: Spool) -> None:
    part = spool.begin()
    part.write(b"x")
    part.discard()
    part.discard()
    with pytest.raises(ValueError, match="closed"):
        part.write(b"x")
    assert not list((spool.root / "incoming").iterdir())


def test_a_long_file_is_hashed_to_its_end(spool: Spool) -> None:
    chunks = [bytes([number]) * 100_001 for number in range(31)]
    stored = spool.store(*chunks)
    assert stored.sha256 == hashlib.sha256(b"".join(chunks)).hexdigest()
    assert spool.path(stored.file).read_bytes() == b"".join(chunks)


@pytest.mark.parametrize("step", ["os.fsync", "gateway.store.spool._sha256"])
def test_a_failure_leaves_nothing(spool: Spool, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def fail(_: int | Path) -> None:
        raise OSError("broken")

    monkeypatch.setattr(step, fail)
    with pytest.raises(OSError, match="broken"):
        spool.store(b"x")
    assert not list((spool.root / "incoming").iterdir())
    assert not list(spool.instances())


def test_what_a_killed_receiver_has_left_is_swept_after_an_hour(spool: Spool) -> None:
    old, new = spool.begin(), spool.begin()
    os.utime(old.path, (1000.0, 1000.0))
    os.utime(new.path, (4000.0, 4000.0))
    assert spool.sweep(4601.0) == 1
    assert not old.path.exists()
    assert new.path.exists()


def test_a_part_that_goes_away_during_the_sweep_is_nobodys_business(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = spool.root / "incoming" / ".part-gone"
    monkeypatch.setattr(Path, "glob", lambda *_: [gone])
    assert spool.sweep(1e9) == 0
    old = spool.begin().path
    os.utime(old, (0.0, 0.0))
    monkeypatch.setattr(Path, "glob", lambda *_: [old, old])  # as if another had deleted it just now
    spool.sweep(1e9)
    assert not old.exists()


def test_laying_out_links_the_files_of_a_version_and_no_others(spool: Spool) -> None:
    files = [spool.store(content).file for content in (b"a", b"b", b"c")]
    folder = spool.lay_out(TOKEN, 1, files)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "001.dcm": b"a",
        "002.dcm": b"b",
        "003.dcm": b"c",
    }
    assert (folder / "001.dcm").samefile(spool.path(files[0]))
    (folder / "stray").write_bytes(b"")
    assert spool.lay_out(TOKEN, 1, [files[1]]) == folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"001.dcm": b"b"}
    assert spool.lay_out(TOKEN, 1, [files[1]]) == folder
    assert folder.stat().st_mode & 0o777 == 0o700


def test_results_lie_beside(spool: Spool) -> None:
    out = spool.results(TOKEN, 2)
    assert out == spool.folder(TOKEN, 2) / "out"
    assert out.is_dir()
    assert spool.results(TOKEN, 2) == out


@pytest.mark.parametrize(("token", "version"), [("../../etc", 1), ("1.2.3", 1), (TOKEN.upper(), 1), (TOKEN, 0)])
def test_a_folder_is_named_by_a_token_and_nothing_else(spool: Spool, token: str, version: int) -> None:
    with pytest.raises(ValueError, match="token"):
        spool.folder(token, version)


@pytest.mark.parametrize("file", ["../x", "instances/../../x", "/etc/passwd"])
def test_no_file_lies_outside(spool: Spool, file: str) -> None:
    with pytest.raises(ValueError, match="leads out"):
        spool.path(file)


def test_there_is_some_disk(spool: Spool) -> None:
    assert spool.free_bytes() > 0
    assert not spool.is_read_only()


def test_the_folders_that_files_are_named_in_outlast_a_power_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synchronised: list[Path] = []
    monkeypatch.setattr("gateway.store.spool.sync_folder", synchronised.append)
    spool = Spool(tmp_path / "spool")
    assert {spool.root, spool.root / "instances"} <= set(synchronised)
    part = spool.begin()
    part.write(b"x")
    stored = spool.keep(part)
    folder = spool.path(stored.file).parent
    synchronised.clear()
    spool.put_back(part, stored)
    assert synchronised == []
    spool.path(stored.file).unlink()  # as retention does
    spool.put_back(part, stored)
    assert synchronised == [folder]
    assert spool.path(stored.file).read_bytes() == b"x"
    part.discard()


def test_what_is_deleted_is_gone_with_what_was_set_aside_of_it(spool: Spool) -> None:
    file = spool.store(b"x").file
    spool.set_aside(file)
    assert not spool.path(file).exists()
    assert [path.name for path in (spool.root / "damaged").iterdir()] == [Path(file).name]
    spool.set_aside(file)
    spool.store(b"x")
    spool.delete(file)
    spool.delete(file)
    assert list(spool.instances()) == list((spool.root / "damaged").iterdir()) == []
