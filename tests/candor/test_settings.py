"""Settings: what is read, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from candor.decide.costs import Costs
from candor.settings import Settings, load_settings
from candor.study.errors import SettingsError
from candor.study.profile import Profile, ReportClass
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
    with pytest.raises(SettingsError, match=r"deferral_cost is 0\.2; it must be null where costs are set"):
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
        ("candor:\n  engin: onnx\n", "line 2: unknown setting 'engin'; did you mean 'engine'?"),
        ("candour:\n  engine: onnx\n", "line 1: unknown setting 'candour'; did you mean 'candor'?"),
        (
            "candor:\n  zzz: 1\n",
            "known are engine, max_overlays, deferral_cost, costs, images_per_batch",
        ),
        ("candor:\n  engine: gpu\n", "engine is 'gpu'; it must be one of auto, onnx, torch"),
        ("candor:\n  engine: onnx\n  engine: torch\n", "line 3: 'engine' stands there twice"),
        ("candor:\n  max_overlays: -1\n", "max_overlays is -1; it must be a whole number from 0 to 14"),
        ("candor:\n  max_overlays: true\n", "max_overlays is True"),
        ("candor:\n  max_overlays: 2.5\n", "max_overlays is 2.5"),
        ("candor:\n  images_per_batch: 0\n", "images_per_batch is 0"),
        ("candor:\n  deferral_cost: 0.5\n", "deferral_cost is 0.5; it must be null, or a number between 0 and 0.5"),
        ("candor:\n  deferral_cost: 0\n", "deferral_cost is 0"),
        ("candor:\n  shortcut_limit: 0.0\n", "shortcut_limit is 0.0; it must be null, or a number over 0"),
        ("candor:\n  shortcut_limit: .inf\n", "shortcut_limit is inf"),
        ("candor:\n  shortcut_limit: much\n", "shortcut_limit is 'much'"),
        ("candor:\n  deferral_cost: .nan\n", "deferral_cost is nan"),
        ("candor:\n  engine: onnx\n  objects: [sc]\n", "app.yaml line 3: objects is ['sc']; it must be a list with sr"),
        ("candor:\n  objects: [sr, pdf]\n", "line 2: objects is ['sr', 'pdf']; it must be a list of sr, sc, gsps, ko"),
        ("candor:\n  objects: [sr, sr]\n", "each once"),
        ("candor:\n  objects: sr\n", "objects is 'sr'; it must be a list of"),
        (
            "candor:\n  report_class: basic\n",
            "report_class is 'basic'; it must be one of comprehensive-3d, comprehensi",
        ),
        ("candor:\n  flag_deferrals: 1\n", "line 2: flag_deferrals is 1; it must be true or false"),
        ("candor:\n  language: en\n", "line 2: language is 'en'; it must be one of en-US, de-DE"),
        ("candor:\n  costs: {Mas: {}}\n", "costs: unknown finding 'Mas'"),
        ("candor: [1, 2]\n", "line 1: expected 'name: value' lines"),
        ("candor: {\n", "is not valid YAML"),
        ("- 1\n", "line 1: expected 'name: value' lines"),
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
