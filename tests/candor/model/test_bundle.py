"""A bundle loads when all its files belong together, and is refused in one clear line when they do not."""

from __future__ import annotations

import contextlib
import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from candor.decide.calibration import CalibrationKind, sigmoid
from candor.files.hashes import file_sha256
from candor.model.bundle import CALIBRATION, GATE, GRAPH, METADATA, WEIGHTS, find_bundle, load_bundle, load_model
from candor.model.preprocess import InputSpec
from candor.study.errors import BundleError
from candor.study.findings import Finding
from tests.bundles import THREE, USUAL

Edit = Callable[[dict[str, Any]], object]


def edit(bundle: Path, file: Path, change: Edit) -> None:
    """Change a JSON file of a bundle."""
    values = json.loads((bundle / file).read_text())
    change(values)
    (bundle / file).write_text(json.dumps(values))


def bind(bundle: Path) -> None:
    """Write the hashes anew, so that only what a test broke is broken."""
    weights, graph = file_sha256(bundle / WEIGHTS), file_sha256(bundle / GRAPH)
    edit(bundle, METADATA, lambda v: v["candor"].update(weights_sha256=weights, graph_sha256=graph))
    edit(bundle, CALIBRATION, lambda v: v.update(weights_sha256=weights))
    calibration = file_sha256(bundle / CALIBRATION)
    edit(bundle, GATE, lambda v: v.update(weights_sha256=weights, calibration_sha256=calibration))


def test_a_bundle_says_all_that_serving_needs(shared_bundle: Path) -> None:
    bundle = load_bundle(shared_bundle)
    assert bundle.findings == THREE
    assert bundle.input == InputSpec(64, 0.5, 0.25)
    assert bundle.architecture == "benchmark-cnn"
    assert (bundle.weights, bundle.graph) == (shared_bundle / WEIGHTS, shared_bundle / GRAPH)
    assert list(bundle.calibration.maps) == list(bundle.gate.thresholds) == list(THREE)
    assert bundle.calibration.maps[Finding.EFFUSION].kind is CalibrationKind.TEMPERATURE
    assert bundle.gate.thresholds[Finding.EFFUSION] == USUAL
    assert "not for diagnosis" in bundle.intended_use


@pytest.mark.parametrize("file", [METADATA, CALIBRATION, GATE])
def test_the_hash_changes_with_every_file(bundle: Path, file: Path) -> None:
    before = load_bundle(bundle).sha256
    edit(bundle, file, lambda values: values.update(description="another"))
    bind(bundle)
    after = load_bundle(bundle).sha256
    assert after != before
    assert len(after) == 64


def test_the_order_of_a_file_does_not_matter(bundle: Path) -> None:
    edit(bundle, CALIBRATION, lambda v: v.update(findings=dict(reversed(v["findings"].items()))))
    bind(bundle)
    assert tuple(load_bundle(bundle).calibration.maps) == THREE


def test_loading_needs_neither_torch_nor_pydicom(shared_bundle: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from candor.model.bundle import load_bundle;"
        "load_bundle(Path(sys.argv[1]));"
        "sys.exit(bool({'torch', 'pydicom'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(shared_bundle)], check=False).returncode == 0


def test_a_bundle_is_found_as_itself_or_as_the_only_one(bundle: Path) -> None:
    assert find_bundle(bundle) == bundle
    assert find_bundle(bundle.parent) == bundle


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"nowhere is not a folder; give the folder of the bundle"):
        find_bundle(tmp_path / "nowhere")


def test_a_folder_without_a_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"holds no bundle \(a folder with configs/metadata.json\); give another"):
        find_bundle(tmp_path)


def test_of_several_bundles_none_is_guessed(bundle: Path) -> None:
    shutil.copytree(bundle, bundle.parent / "other")
    with pytest.raises(BundleError, match=r"holds 2 bundles \(cxr, other\); give the folder of one of them"):
        find_bundle(bundle.parent)


@pytest.mark.parametrize("file", [METADATA, WEIGHTS, GRAPH, CALIBRATION, GATE])
def test_a_missing_file_is_named(bundle: Path, file: Path) -> None:
    (bundle / file).unlink()
    with pytest.raises(BundleError, match=rf"{file.name} cannot be read \(No such file or directory\)"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("file", "key", "other"),
    [
        (METADATA, "candor.weights_sha256", WEIGHTS),
        (METADATA, "candor.graph_sha256", GRAPH),
        (CALIBRATION, "weights_sha256", WEIGHTS),
        (GATE, "weights_sha256", WEIGHTS),
        (GATE, "calibration_sha256", CALIBRATION),
    ],
)
def test_files_that_do_not_belong_together_are_both_named(bundle: Path, file: Path, key: str, other: Path) -> None:
    def change(values: dict[str, Any]) -> None:
        holder = values["candor"] if key.startswith("candor") else values
        holder[key.rpartition(".")[2]] = "0" * 64

    edit(bundle, file, change)
    with pytest.raises(BundleError) as caught:
        load_bundle(bundle)
    text = str(caught.value)
    assert re.search(
        rf"{file} line \d+: {key} says that it belongs to the {other.name} with SHA-256 0{{12}}\.\.\.", text
    )
    assert f"but {bundle / other} has {file_sha256(bundle / other)[:12]}..." in text
    assert "again" in text


def test_another_networks_weights_are_refused(bundle: Path) -> None:
    state = load_file(bundle / WEIGHTS)
    state["head.bias"] = state["head.bias"] + np.float32(1)
    save_file(state, bundle / WEIGHTS)
    with pytest.raises(BundleError, match=r"weights_sha256 says that it belongs to the model.safetensors"):
        load_bundle(bundle)


def test_a_new_calibration_leaves_an_old_gate_unusable(bundle: Path) -> None:
    edit(bundle, CALIBRATION, lambda values: values.update(description="another"))
    with pytest.raises(BundleError, match=r"gate.json line \d+: calibration_sha256 .* fit the gate again"):
        load_bundle(bundle)
    load_model(bundle)


def _set(path: str, value: object) -> Edit:
    *parts, last = path.split(".")

    def change(values: dict[str, Any]) -> None:
        for part in parts:
            values = values[part]
        values[last] = value

    return change


def _drop(path: str) -> Edit:
    *parts, last = path.split(".")

    def change(values: dict[str, Any]) -> None:
        for part in parts:
            values = values[part]
        del values[last]

    return change


EFFUSION = "findings.Effusion"
LINE = {"kind": "platt", "slope": 1, "intercept": 0, "fitted_prevalence": 0.5, "assumed_prevalence": 0.5}


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (METADATA, _drop("name"), r"metadata.json line \d+: name is missing; export the bundle again"),
        (METADATA, _set("version", 1), r"metadata.json line \d+: version is 1; it must be a text"),
        (METADATA, _set("version", " "), r"version is ' '; it must not be blank"),
        (METADATA, _drop("candor"), r"metadata.json line \d+: candor is missing"),
        (
            METADATA,
            _set("candor", []),
            r"candor is \[\]; it must be a block of names and values",
        ),
        (
            METADATA,
            _set("candor.findings", ["Effusion", "Headache"]),
            r"candor.findings is .*; unknown finding",
        ),
        (
            METADATA,
            _set("candor.findings", []),
            r"candor.findings is .*; it must name each finding once, and at",
        ),
        (METADATA, _set("candor.findings", ["Mass", "mass"]), r"candor.findings is .*; it must name each finding once"),
        (METADATA, _set("candor.findings", ["Mass", 3]), r"candor.findings.1 is 3; it must be a text"),
        (METADATA, _set("candor.findings", ["Mass"]), r"has outputs \[3\], but configs/metadata.json names 1 findings"),
        (METADATA, _set("candor.input.side", 224.5), r"candor.input.side is 224.5; it must be a whole number"),
        (METADATA, _set("candor.input.side", 0), r"candor.input.side is 0; it must be at least 16"),
        (METADATA, _set("candor.input.side", True), r"candor.input.side is True; it must be a whole number"),
        (METADATA, _set("candor.input.mean", "0.5"), r"candor.input.mean is '0.5'; it must be a number"),
        (METADATA, _set("candor.input.std", 0), r"candor.input.std is 0; it must be at least 0.001"),
        (METADATA, _set("candor.input.std", math.nan), r"candor.input.std is nan; it must be a finite number"),
        (CALIBRATION, _drop("description"), r"calibration.json line \d+: description is missing; calibrate it again"),
        (CALIBRATION, _drop(EFFUSION), r"calibration.json line \d+: findings.Effusion is missing"),
        (
            CALIBRATION,
            _set("findings.Mass", LINE),
            r"calibration.json line \d+: findings names Mass, which the model does not",
        ),
        (
            CALIBRATION,
            _set(f"{EFFUSION}.kind", "magic"),
            r"findings.Effusion.kind is 'magic'; it must be 'identity'",
        ),
        (
            CALIBRATION,
            _set(f"{EFFUSION}.slope", math.nan),
            r"findings.Effusion.slope is nan; it must be a finite",
        ),
        (
            CALIBRATION,
            _set(f"{EFFUSION}.slope", math.inf),
            r"findings.Effusion.slope is inf; it must be a finite",
        ),
        (
            CALIBRATION,
            _set(f"{EFFUSION}.slope", 10**400),
            r"findings.Effusion.slope is 10+\.\.\.; it must be a finite",
        ),
        (CALIBRATION, _set(f"{EFFUSION}.slope", -1), r"findings.Effusion: slope must be positive"),
        (CALIBRATION, _set(f"{EFFUSION}.intercept", None), r"findings.Effusion.intercept is None; it must be a number"),
        (CALIBRATION, _set(f"{EFFUSION}.fitted_prevalence", 0), r"Effusion: a prevalence lies between"),
        (CALIBRATION, _set(f"{EFFUSION}.assumed_prevalence", 1.5), r"assumed_prevalence is 1.5; it must be at most 1"),
        (
            CALIBRATION,
            _set(f"{EFFUSION}.interval", {"logits": [0, 1], "low": [0.1], "high": [0.2, 0.3]}),
            "Effusion: interval must have as many values",
        ),
        (
            CALIBRATION,
            _set(f"{EFFUSION}.interval", {"logits": [0], "low": [0.3], "high": [0.2]}),
            r"Effusion: interval.low must not lie above interval.high",
        ),
        (
            CALIBRATION,
            _set(f"{EFFUSION}.interval", {"logits": [1, 0], "low": [0.1, 0.1], "high": [0.2, 0.2]}),
            "Effusion: .*logits must rise",
        ),
        (
            CALIBRATION,
            _set(f"{EFFUSION}.interval", {"logits": [0], "low": [0], "high": [0.2]}),
            r"Effusion.interval.low.0 is 0; it must be greater than 0",
        ),
        (GATE, _set("data", " "), r"data is ' '; it must not be blank"),
        (GATE, _drop(f"{EFFUSION}.lo"), r"gate.json line \d+: findings.Effusion.lo is missing; fit the gate again"),
        (GATE, _set(f"{EFFUSION}.hi", 2), r"findings.Effusion.hi is 2; it must be at most 1"),
        (GATE, _set(f"{EFFUSION}.hi", False), r"findings.Effusion.hi is False; it must be a number"),
        (GATE, _set(f"{EFFUSION}.lo", 0.9), r"findings.Effusion: lo 0.9 must be below hi 0.7"),
        (GATE, _set("findings", 3), r"gate.json line \d+: findings is 3; it must be a block of names and values"),
    ],
)
def test_a_bad_value_is_named_with_its_file_and_key(bundle: Path, file: Path, change: Edit, message: str) -> None:
    edit(bundle, file, change)
    if file == CALIBRATION:
        bind(bundle)
    with pytest.raises(BundleError, match=message):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is no JSON"),
        (b"{", r"is no JSON"),
        (b"\xff\xfe{}", r"is no JSON"),
        (b"[" * 100_000, r"is no JSON"),
        (b"[]", r"line 1: it must be a block of names and values"),
        (b'{"name": 1, "name": 2}', r"line 1: 'name' stands there twice; "),
    ],
)
@pytest.mark.parametrize("file", [METADATA, CALIBRATION, GATE])
def test_what_is_no_json_object_is_named(bundle: Path, file: Path, content: bytes, message: str) -> None:
    (bundle / file).write_bytes(content)
    with pytest.raises(BundleError, match=rf"{file.name}.*{message}"):
        load_bundle(bundle)


@pytest.mark.parametrize("content", [b"", b"nothing", b"\xff" * 64])
def test_damaged_weights_are_named(bundle: Path, content: bytes) -> None:
    (bundle / WEIGHTS).write_bytes(content)
    bind(bundle)
    with pytest.raises(BundleError, match=r"model.safetensors is damaged .*; export the bundle again"):
        load_bundle(bundle)


def test_weights_of_another_kind_of_network_are_named(bundle: Path) -> None:
    save_file({"fc.weight": np.zeros((3, 4), np.float32)}, bundle / WEIGHTS)
    bind(bundle)
    with pytest.raises(BundleError, match=r"model.safetensors is damaged .*head.bias"):
        load_bundle(bundle)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60)
@given(file=st.sampled_from([METADATA, CALIBRATION, GATE]), data=st.data())
def test_whatever_a_value_is_replaced_by_the_bundle_loads_or_says_why(
    bundle: Path, file: Path, data: st.DataObject
) -> None:
    original = (bundle / file).read_text()
    values = json.loads(original)
    places = [(values, key) for key in values]
    for holder, key in places:
        if isinstance(holder[key], dict):
            places += [(holder[key], inner) for inner in holder[key]]
    holder, key = data.draw(st.sampled_from(places))
    holder[key] = data.draw(JSON)
    (bundle / file).write_text(json.dumps(values))
    with contextlib.suppress(BundleError):
        load_bundle(bundle)
    (bundle / file).write_text(original)


def test_an_interval_is_read_at_the_prevalence_that_the_file_assumes(bundle: Path) -> None:
    part = {"logits": [-2.0, 1.0], "low": [0.01, 0.2], "high": [0.03, 0.4]}
    edit(bundle, CALIBRATION, lambda values: values["findings"]["Effusion"].update(interval=part))
    bind(bundle)
    maps = load_bundle(bundle).calibration.maps
    for logit, low, high in zip(part["logits"], part["low"], part["high"], strict=True):
        probability = sigmoid(maps[Finding.EFFUSION].curve.log_odds(np.asarray(logit)) + maps[Finding.EFFUSION].shift)
        expected = (min(low, probability), max(high, probability))
        assert maps[Finding.EFFUSION].interval(logit) == pytest.approx(expected)
    assert maps[THREE[0]].interval(1.0) is None


def test_a_gate_says_what_it_was_fitted_to_where_it_is_known(bundle: Path) -> None:
    assert load_bundle(bundle).gate.fitted_to is None
    edit(bundle, GATE, lambda values: values.update(data="St Elsewhere"))
    assert load_bundle(bundle).gate.fitted_to == "St Elsewhere"
