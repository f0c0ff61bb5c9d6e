"""The reader names file, line, key, value and what it must be, in YAML and in JSON alike."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from candor.files.hashes import file_sha256
from candor.files.reader import MOST_FAULTS, Block, JsonFile, Record, Text, Whole, read_settings
from candor.study.errors import BundleError, SettingsError


class Peer(Block):
    """A block in a list."""

    name: str
    port: int = Field(default=104, ge=1, le=65535)


class All(Block):
    """A whole settings file."""

    peers: tuple[Peer, ...] = ()
    quiet_s: float = 1.0
    nested: Peer | None = None


class Line(Record):
    """One member of a union."""

    kind: Literal["line"]
    slope: float


class Point(Record):
    """Another."""

    kind: Literal["point"]
    at: tuple[float, ...]


class File(Record):
    """A whole JSON file."""

    name: Text
    count: Whole = 0
    on: bool = False
    shapes: dict[str, Annotated[Line | Point, Field(discriminator="kind")]] = Field(default={})


def yaml_file(folder: Path, text: str) -> Path:
    path = folder / "node.yaml"
    path.write_text(text)
    return path


def json_file(folder: Path, values: object) -> JsonFile:
    path = folder / "part.json"
    path.write_text(json.dumps(values, indent=1))
    return JsonFile(path, "make it again")


def test_settings_are_read_with_their_defaults(tmp_path: Path) -> None:
    text = "peers:\n- {name: a}\n- name: b\n  port: 11112\nquiet_s: 2\n"
    found = read_settings(yaml_file(tmp_path, text), All)
    assert found == All(peers=(Peer(name="a"), Peer(name="b", port=11112)), quiet_s=2.0)
    assert read_settings(yaml_file(tmp_path, "# nothing\n"), All) == All()


def test_merged_keys_and_anchors_are_yaml(tmp_path: Path) -> None:
    text = "peers:\n- &one {name: a, port: 1}\n- {<<: *one, name: b}\n"
    assert read_settings(yaml_file(tmp_path, text), All).peers[1] == Peer(name="b", port=1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("peers:\n- name: a\n  portt: 1\n", "line 3: unknown setting 'peers.0.portt'; did you mean 'port'?"),
        ("nested: {zzz: 1}\n", "unknown setting 'nested.zzz'; known are name, port"),
        ("zzz: 1\n", "line 1: unknown setting 'zzz'; known are peers, quiet_s, nested"),
        ("peers:\n- name: a\n  port: 0\n", "line 3: peers.0.port is 0; it must be at least 1"),
        ("peers:\n- name: a\n  port: true\n", "peers.0.port is True; it must be a whole number"),
        ("peers:\n- port: 1\n", "line 2: peers.0.name is missing"),
        ("quiet_s: .inf\n", "quiet_s is inf; it must be a finite number"),
        ("quiet_s: 2026-01-01\n", "line 1: quiet_s: it must be a number"),
        ("peers: [{name: 2026-01-01}]\n", "line 1: peers.0.name: it must be a text"),
        ("0\n", "line 1: it must be a block of names and values"),
        ("peers: x\n", "peers is 'x'; it must be a list"),
        ("quiet_s: 1\nnested:\n  name: a\n  name: b\n", "line 4: 'name' stands there twice"),
        ("a: &x\n  - *x\n", "is not valid YAML"),
        ("? [1, 2]\n: x\n", "is not valid YAML"),
        ("quiet_s: 1\n  x: 2\n", "line 2 is not valid YAML"),
    ],
)
def test_a_bad_setting_is_named_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    path = yaml_file(tmp_path, text)
    with pytest.raises(SettingsError) as refused:
        read_settings(path, All)
    assert str(refused.value).startswith(str(path))
    assert says in str(refused.value)


def test_so_many_faults_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    text = "".join(f"no{number}: 1\n" for number in range(MOST_FAULTS + 2))
    with pytest.raises(SettingsError, match=r"line 1: .*line 5: .*; and 2 more faults$"):
        read_settings(yaml_file(tmp_path, text), All)


def test_json_is_read_and_what_others_wrote_into_it_is_left(tmp_path: Path) -> None:
    values = {"name": "a", "more": [1], "shapes": {"x": {"kind": "point", "at": [1, 2.5], "note": ""}}}
    found = json_file(tmp_path, values).read(File)
    assert found.shapes == {"x": Point(kind="point", at=(1.0, 2.5))}
    assert json_file(tmp_path, {"name": "a", "count": 64.0}).read(File).count == 64
    assert json_file(tmp_path, {"above": {"part": {"name": "b"}}}).read(File, at="above.part").name == "b"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": " "}, "line 2: name is ' '; it must not be blank"),
        ({"count": True}, "line 3: count is True; it must be a whole number"),
        ({"count": 1.5}, "line 3: count is 1.5; it must be a whole number"),
        ({"on": 1}, "on is 1; it must be true or false"),
        (
            {"shapes": {"x": {"kind": "line", "slope": float("nan")}}},
            "line 7: shapes.x.slope is nan; it must be a f",
        ),
        ({"shapes": {"x": {"kind": "line"}}}, "line 5: shapes.x.slope is missing"),
        ({"shapes": {"x": {"kind": "point", "at": [1, "2"]}}}, "line 9: shapes.x.at.1 is '2'; it must be a number"),
        ({"shapes": {"x": {"kind": "ring"}}}, "line 5: shapes.x.kind is 'ring'; it must be 'line', 'point'"),
        ({"shapes": {"x": {}}}, "line 5: shapes.x.kind is missing"),
        ({"shapes": []}, "shapes is []; it must be a block of names and values"),
    ],
)
def test_a_bad_value_is_named_with_its_line_and_the_remedy(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    file = json_file(tmp_path, {"name": "a", "count": 1} | change)
    with pytest.raises(BundleError) as refused:
        file.read(File)
    assert str(refused.value).startswith(str(file.path))
    assert says in str(refused.value)
    assert str(refused.value).endswith("; make it again")


def test_json_that_is_no_yaml_is_refused_without_a_line(tmp_path: Path) -> None:
    file = JsonFile(tmp_path / "part.json", "make it again")
    file.path.write_text('{\n\t"name": 1\n}')
    with pytest.raises(BundleError, match=r"part\.json: name is 1; it must be a text; make it again"):
        file.read(File)


def test_a_key_that_stands_twice_in_json_is_named_with_its_line(tmp_path: Path) -> None:
    file = JsonFile(tmp_path / "part.json", "make it again")
    file.path.write_text('{\n "name": "a",\n "shapes": {\n  "x": 1,\n  "x": 2\n }\n}')
    with pytest.raises(BundleError, match=r"part\.json line 5: 'x' stands there twice; make it again"):
        file.read(File)


def test_the_object_at_a_place_must_be_there(tmp_path: Path) -> None:
    file = json_file(tmp_path, {"above": {"other": {}}})
    with pytest.raises(BundleError, match=r"part\.json line 2: above\.part is missing; make it again"):
        file.read(File, at="above.part")
    with pytest.raises(BundleError, match=r"line 3: above\.other\.name is missing"):
        file.read(File, at="above.other")


def test_a_hash_of_another_file_is_refused_at_its_line(tmp_path: Path) -> None:
    other = tmp_path / "weights"
    other.write_bytes(b"w")
    file = json_file(tmp_path, {"name": "a", "sha256": "0" * 64})
    file.require_hash("sha256", file_sha256(other), other)
    file.require_hash("sha256", "known", other, known="known")
    with pytest.raises(BundleError, match=r"line 3: sha256 says that it belongs to the weights with SHA-256 0{12}\."):
        file.require_hash("sha256", "0" * 64, other)
    with pytest.raises(BundleError, match="nowhere cannot be read"):
        file.require_hash("sha256", "0" * 64, tmp_path / "nowhere")


def test_the_reader_is_light_to_import() -> None:
    code = "import sys, candor.files.reader; sys.exit(bool({'numpy', 'pydicom', 'torch', 'cv2'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
