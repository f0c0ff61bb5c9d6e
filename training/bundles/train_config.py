"""Write the recipe that made the weights as configurations that ``monai.bundle`` runs: ``configs/train*.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import yaml

from training.bundles.provenance import run_in_words, runs
from training.data.augmentation import PRESETS

Json = Mapping[str, Any]

_APART: Final = ("network", "initial", "stages", "augmentation")
"""Keys of a recipe that have a place of their own in the configuration."""


def train_configs(record: Json, template: str) -> dict[str, str]:
    """Return the configurations of the trainings that made the weights, by file name.

    Parameters
    ----------
    record
        How the weights were trained; weights that were imported have no configuration.
    template
        The configuration that Candor ships, as YAML.

    Returns
    -------
    ``train.yaml``, and for further members ``train-2.yaml`` and so on.
    """
    made = [run for run in runs(record) if "imported" not in run]
    names = ["train.yaml", *(f"train-{number}.yaml" for number in range(2, len(made) + 1))]
    others = f" One of {len(made)} networks: {', '.join(names)}." if len(made) > 1 else ""
    return {name: _header(run, name, others) + _config(run, template) for name, run in zip(names, made, strict=False)}


def _header(run: Json, name: str, others: str) -> str:
    return (
        f"# The recipe that made the weights of this bundle: {run_in_words(run)}.{others}\n"
        f"#   python -m monai.bundle run --config_file configs/{name} --dataset_dir DATA --output_dir work\n"
        "# It needs Candor on the Python path; training.learn.recipe says what each key means.\n"
    )


def _config(run: Json, template: str) -> str:
    config, recipe = yaml.safe_load(template), run["recipe"]
    preset = preset_of(recipe.get("augmentation"))
    losses = list(recipe["stages"][0].get("losses", config["losses"])) if recipe["stages"] else config["losses"]
    config |= {key: run[key] for key in ("policy", "split") if key in run}
    config |= {"network": recipe["network"], "initial": recipe.get("initial"), "losses": losses}
    config["stages"] = [_stage(stage, losses) for stage in recipe["stages"]]
    config["augmentation"] = preset
    config["recipe"] |= {key: value for key, value in recipe.items() if key not in _APART}
    if preset is None:
        config["augmentation"] = {"_target_": "training.data.augmentation.Augmentation", **recipe["augmentation"]}
        config["recipe"]["augmentation"] = "@augmentation"
    return str(yaml.safe_dump(config, sort_keys=False, width=120))


def _stage(stage: Json, losses: list[Json]) -> dict[str, object]:
    own = list(stage.get("losses", losses))
    terms = "$tuple(@losses)" if own == losses else f"$tuple({own!r})"
    return {"_target_": "training.learn.recipe.Stage", **stage, "losses": terms}


def preset_of(recorded: Json | None) -> str | None:
    """Return the name of an augmentation's preset by its recorded values; None where it is no preset.

    Old recipes recorded fewer values.
    """
    if recorded is None:
        return "none"
    presets = {name: asdict(how) for name, how in PRESETS.items() if how is not None}
    return next((name for name, how in presets.items() if all(how.get(k) == v for k, v in recorded.items())), None)
