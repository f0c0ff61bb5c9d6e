"""Settings: what is read, and what is refused with which words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from candor.decide.costs import Costs
from candor.settings import Settings, load_settings
from candor.study.errors import SettingsError
from candor.study.findings import Finding
from candor.study.policy import Action
from candor.study.profile import Profile, ReportClass
from candor.study.selection import DEFAULT_WORDS
from candor.words.texts import Language


def written(folder: Path, text: str) -> Path:
    path = folder / "app.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("text", ["", "candor:\n", "application:\n  title: x\n", "candor: {}\n"])
def test_what_is_not_named_keeps_its_default(tmp_path: Path, text: str) -> None:
    assert load_settings(written(tmp_path, text)) == Settings()


def test_every_setting_is_read(tmp_path: Path) -> None:
    text = "candor:\n  engine: torch\n  max_overlays: 2\n  deferral_cost: 0.25\n  images_per_batch: 1\n"
    assert load_settings(written(tmp_path, text)) == Settings(
        engine="torch", max_overlays=2, deferral_cost=0.25, images_per_batch=1
    )


def test_costs_are_read_and_exclude_the_single_cost(tmp_path: Path) -> None:
    text = "candor:\n  costs:\n    default: {missed: 5, false_alarm: 1, deferral: 0.5}\n"
    assert load_settings(written(tmp_path, text)).cost_table == {None: Costs(5, 1, 0.5)}
    with pytest.raises(SettingsError, match=r"line 2: candor\.costs: deferral_cost must be null where"):
        load_settings(written(tmp_path, text + "  deferral_cost: 0.2\n"))
    assert Settings(deferral_cost=0.2).cost_table == {None: Costs(1, 1, 0.2)}
    assert Settings().cost_table == {}


def test_the_settings_say_what_is_written_and_in_which_form(tmp_path: Path) -> None:
    text = "candor:\n  objects: [pm, sr]\n  report_class: enhanced\n  flag_deferrals: true\n  language: de-DE\n"
    settings = load_settings(written(tmp_path, text))
    assert settings.profile == Profile(frozenset({"sr", "pm"}), ReportClass.ENHANCED, flag_deferrals=True)
    assert Language(settings.language) is Language.GERMAN
    assert Settings().profile == Profile()


def test_the_order_of_the_kinds_is_no_other_setting() -> None:
    assert Settings(objects=["pm", "sr"]) == Settings(objects=("sr", "pm"))
    assert Settings(objects=["pm", "sr"]).sha256 == Settings(objects=("sr", "pm")).sha256


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("candor:\n  engin: onnx\n", "line 2: unknown setting 'candor.engin'; did you mean 'engine'?"),
        ("candour:\n  engine: onnx\n", "line 1: unknown setting 'candour'; did you mean 'candor'?"),
        (
            "candor:\n  zzz: 1\n",
            "known are engine, max_overlays, prevalence, deferral_cost, costs, rule_out_missed, images_per_batch",
        ),
        ("candor:\n  engine: gpu\n", "line 2: candor.engine is 'gpu'; it must be 'auto', 'onnx' or 'torch'"),
        ("candor:\n  engine: onnx\n  engine: torch\n", "line 3: 'engine' stands there twice"),
        ("candor:\n  max_overlays: -1\n", "max_overlays is -1; it must be at least 0"),
        ("candor:\n  max_overlays: true\n", "max_overlays is True; it must be a whole number"),
        ("candor:\n  max_overlays: 2.5\n", "max_overlays is 2.5"),
        ("candor:\n  images_per_batch: 0\n", "images_per_batch is 0"),
        ("candor:\n  deferral_cost: 0.5\n", "deferral_cost is 0.5; it must be less than 0.5"),
        ("candor:\n  deferral_cost: 0\n", "deferral_cost is 0"),
        ("candor:\n  shortcut_limit: 0.0\n", "shortcut_limit is 0.0; it must be greater than 0"),
        ("candor:\n  shortcut_limit: .inf\n", "shortcut_limit is inf"),
        ("candor:\n  shortcut_limit: much\n", "shortcut_limit is 'much'"),
        ("candor:\n  deferral_cost: .nan\n", "deferral_cost is nan"),
        ("candor:\n  engine: onnx\n  objects: [sc]\n", "app.yaml line 3: candor.objects is ['sc']; it must hold sr"),
        (
            "candor:\n  objects: [sr, pdf]\n",
            "line 2: candor.objects.1 is 'pdf'; it must be 'sr', 'sc', 'gsps', 'k",
        ),
        ("candor:\n  objects: [sr, sr]\n", "objects is ['sr', 'sr']; it must name each kind once"),
        ("candor:\n  objects: sr\n", "objects is 'sr'; it must be a list"),
        (
            "candor:\n  report_class: basic\n",
            "report_class is 'basic'; it must be 'comprehensive-3d', 'comprehensive' or 'enhanced'",
        ),
        ("candor:\n  flag_deferrals: 1\n", "line 2: candor.flag_deferrals is 1; it must be true or false"),
        ("candor:\n  language: en\n", "line 2: candor.language is 'en'; it must be 'en-US' or 'de-DE'"),
        ("candor:\n  costs: {Mas: {}}\n", "line 2: candor.costs: unknown finding 'Mas'"),
        (
            "candor:\n  prevalence: {Efusion: 0.1}\n",
            "line 2: candor.prevalence: unknown finding 'Efusion'; did you mean 'Effusion'?",
        ),
        ("candor:\n  prevalence: {Effusion: 1}\n", "the prevalence of Effusion is 1; it must lie between 0 and 1"),
        ("candor:\n  prevalence: {Effusion: 0.0}\n", "the prevalence of Effusion is 0.0"),
        ("candor:\n  prevalence: {Effusion: true}\n", "the prevalence of Effusion is True"),
        ("candor:\n  prevalence: {Effusion: 12%}\n", "the prevalence of Effusion is '12%'"),
        ("candor:\n  prevalence: {Effusion: 0.1, pleural effusion: 0.1}\n", "it must name each finding once"),
        ("candor:\n  prevalence: 0.1\n", "candor.prevalence is 0.1; it must be"),
        ("candor: [1, 2]\n", "line 1: candor is [1, 2]; it must be a block of names and values"),
        ("candor: {\n", "is not valid YAML"),
        ("- 1\n", "line 1: it must be a block of names and values"),
        ("candor:\n  engine: !!python/object/apply:os.getcwd []\n", "line 2 is not valid YAML"),
    ],
)
def test_what_cannot_be_is_refused_with_the_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(written(tmp_path, text))
    assert says in str(refused.value)
    assert "app.yaml" in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tmp_path / "nowhere.yaml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "app.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="not valid YAML"):
        load_settings(path)


def test_the_hash_follows_what_changes_results_alone() -> None:
    assert Settings(images_per_batch=1).sha256 == Settings().sha256
    assert Settings(engine="torch").sha256 == Settings().sha256
    assert Settings(deferral_cost=0.2).sha256 != Settings().sha256
    assert Settings(max_overlays=3).sha256 != Settings().sha256
    for changed in ({"objects": ["sr"]}, {"report_class": "enhanced"}, {"flag_deferrals": True}, {"language": "de-DE"}):
        assert Settings(**changed).sha256 != Settings().sha256


@pytest.mark.parametrize(
    ("changed", "sha256"),
    [
        ({}, "a4ea8ea1120e2fa37610105d4823499b1984146d4ae15031ceb93a7cde834ef8"),
        ({"deferral_cost": 0.25}, "7ec7c7bbfe51b99ed45a4df3cc53356154caef3ce479e3197c189b1219288f7d"),
        (
            {
                "costs": {
                    "Effusion": {"missed": 10, "false_alarm": 1, "deferral": 0.2},
                    "default": {"missed": 5.0, "false_alarm": 1, "deferral": 0.5},
                }
            },
            "382b0c4a58004e10f30aa37e79dfb3cca9d407fae40d9070add07a0a02d75d24",
        ),
        ({"shortcut_limit": None}, "5060dc49b8ba5ef74ef936bd81ccc2a04becb40b5de3a5f468e460f8a4c5b3c1"),
        (
            {"objects": ["pm", "sr"], "report_class": "enhanced", "flag_deferrals": True, "language": "de-DE"},
            "959a63e61824ce8cc863a6ffea4fa26634d72e4829fc437a01e5ea9a42b177f9",
        ),
        (
            {"max_overlays": 0, "shortcut_limit": 0.1, "on_rotated": "notice", "on_unlike_chest": "defer"},
            "f2c2bcaf2c3345fcfa510e5882be811f7b50847129496e69fb49796115d68955",
        ),
    ],
)
def test_the_hash_stays_what_it_was_since_result_uids_hang_on_it(
    tmp_path: Path, changed: dict[str, Any], sha256: str
) -> None:
    assert Settings(**changed).sha256 == sha256
    assert load_settings(written(tmp_path, json.dumps({"candor": changed}))).sha256 == sha256


def test_what_a_setting_may_say_is_what_the_code_knows() -> None:
    fields = Settings.model_fields
    for name, words in (("report_class", ReportClass), ("language", Language), ("on_rotated", Action)):
        assert list(get_args(fields[name].annotation)) == [word.value for word in words]


def test_a_prevalence_is_read_by_any_name_and_in_any_order(tmp_path: Path) -> None:
    text = "candor:\n  prevalence: {hiatal hernia: 0.002, Effusion: 0.12}\n"
    settings = load_settings(written(tmp_path, text))
    assert settings.prevalences == {Finding.EFFUSION: 0.12, Finding.HERNIA: 0.002}
    assert settings == Settings(prevalence={"Effusion": 0.12, "Hernia": 0.002})
    assert settings.sha256 == Settings(prevalence={"Effusion": 0.12, "Hernia": 0.002}).sha256 != Settings().sha256
    assert Settings().prevalences == {}


def test_the_words_of_the_file_that_ships_are_the_defaults() -> None:
    assert load_settings(Path(__file__).parents[2] / "app.yaml") == Settings()
    assert Settings().words.table == DEFAULT_WORDS


def test_a_site_mends_its_words(tmp_path: Path) -> None:
    changed = load_settings(written(tmp_path, "candor:\n  words:\n    chest: [BRYST]\n"))
    assert changed.words.table == replace(DEFAULT_WORDS, chest=("BRYST",))
    assert changed.sha256 != Settings().sha256, "other images are assessed"
    with pytest.raises(SettingsError, match=r"line 3: candor.words.chest.*neither letters nor digits"):
        load_settings(written(tmp_path, "candor:\n  words:\n    chest: ['--']\n"))
