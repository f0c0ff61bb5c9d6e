"""The commands of each page, run in their order as a person would, on made-up data."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from pydicom.data import get_testdata_file
from safetensors.torch import save_file

from benchmarks.node.crash import radiographs, send, wait_for
from candor.model.bundle import load_bundle
from candor.study.findings import Finding
from tests.conftest import ROOT
from tests.docs import data
from tests.docs.commands import Command, commands
from tests.docs.covered import ELSEWHERE, INSTALLATION, MEASUREMENTS, SEQUENCES, STAND_INS, is_suite
from tests.docs.sandbox import Sandbox
from tests.gateway.databases import empty_database, server
from tests.training.published import densenet121, reproduced_chexnet
from tools.small_pacs import SmallPacs, free_port

pytestmark = pytest.mark.full

STUDIES = 8
"""How many the node of a page gets; every second has every finding by the labels."""

QUICK = ("--stage", "48", "1", "0.01", "--batch", "16")
SMALL = ("--network", "benchmark-cnn", *QUICK)
SMALLER = {
    "python -m training train --data CHEXPERT --network two-view": QUICK,
    "python -m training train": SMALL,
    "python -m training find-lr": (*SMALL, "--steps", "20"),
    "python -m training fit-familiarity": ("--kept", "8"),
    "python -m training pcanet": ("--pictures", "60"),
    "torchrun": SMALL,
    "python -m monai.bundle run --config_file training": ("--network", "benchmark-cnn", "--stages#0#side", "48"),
}
"""The recipes are for a GPU and a day: here the same commands with a small network, small pictures, one epoch."""

_PATIENCE_S = 600.0


@pytest.mark.parametrize("page", SEQUENCES)
def test_the_commands_of_a_page_do_what_it_says(page: str, tmp_path: Path) -> None:
    chosen = [command for command in commands(page) if is_run_here(command)]
    assert chosen
    with database(page) as address, box(page, tmp_path, address) as sandbox:
        for command in chosen:
            sandbox.run(command)
            if "serve" in command.words and "--without" not in command.words:
                fill(sandbox)
        sandbox.stop()
        log = sandbox.folder / "stand-ins.jsonl"
        stood_in = [command for command in chosen if command.words[0] in STAND_INS]
        assert len(log.read_text().splitlines() if log.exists() else []) == len(stood_in)


def is_run_here(command: Command) -> bool:
    """Leave out what a sentence only names, what another test runs, and measurements."""
    elsewhere = (
        command.text in (*ELSEWHERE, *INSTALLATION)
        or is_suite(command)
        or command.module.startswith(f"{MEASUREMENTS}.")
    )
    return not elsewhere and not command.mention


@contextmanager
def database(page: str) -> Iterator[str]:
    """A PostgreSQL for the page of several machines; "" for the others, which have a file."""
    if not page.endswith("scale-out.md"):
        yield ""
        return
    with server() as address:
        yield empty_database(address, "candor")


@contextmanager
def box(page: str, folder: Path, address: str) -> Iterator[Sandbox]:
    """A sandbox with what the placeholders of a page stand for, beside a PACS that runs."""
    pacs, port = SmallPacs(folder / "pacs"), free_port()
    pacs.start(port)
    sandbox = Sandbox(folder / "box", values_of(page, folder), SMALLER)
    settings(sandbox.folder, port, address)
    try:
        yield sandbox
    finally:
        sandbox.kill()
        pacs.stop()


def values_of(page: str, folder: Path) -> dict[str, str]:
    """Make what a page names: each placeholder and the files beside it."""
    text = (ROOT / page).read_text()
    inside = folder / "box"
    shutil.copytree(ROOT / "models", inside / "models")
    nih = data.published_nih(folder / "nih") if "--kind nih" in text else data.selected_nih(folder / "nih")
    (inside / "work").mkdir()
    (inside / "work" / "nih").symlink_to(nih)
    makers = {
        "SITE": lambda: data.site(folder / "site"),
        "CHEXPERT": lambda: data.chexpert(folder / "chexpert"),
        "WEIGHTS": lambda: weights(folder / "weights.safetensors"),
    }
    made = {name: make() for name, make in makers.items() if name in text}
    if "results.json --labels" in text:
        data.predictions(inside, load_bundle(inside / "models" / "cxr"))
        if "cp -r" not in text:
            shutil.copytree(inside / "models" / "cxr", inside / "work" / "cxr")
    if "--soft-labels" in text:
        data.soft_labels(inside / "predictions.csv.gz", nih)
    data.prevalences(inside / "site-prevalence.csv")
    return {
        **{name: str(path) for name, path in made.items()},
        "NIH": str(nih),
        "PICTURES": str(nih / "images"),
        "IN": str(one_study(folder / "in")),
        "OUT": str(folder / "out"),
        "CSV": str(inside / "labels.csv"),
        "HASH": load_bundle(inside / "models" / "cxr").sha256,
        "PASSWORD": "a-long-enough-password",
    }


def one_study(folder: Path) -> Path:
    """A real radiograph in a folder of its own."""
    folder.mkdir()
    shutil.copy(str(get_testdata_file("RG1_UNCI.dcm", download=False)), folder)
    return folder


def weights(path: Path) -> Path:
    """A CheXNet with random weights, as one of its public copies saves it."""
    save_file(reproduced_chexnet(densenet121(3, len(Finding))), path)
    return path


def settings(folder: Path, pacs_port: int, address: str) -> None:
    """Write ``gateway.yaml`` for this machine alone; whatever a page has in its example stays as it ships."""
    shipped = yaml.safe_load((ROOT / "gateway.yaml").read_text())
    shipped["site"] = load_bundle(ROOT / "models" / "cxr").gate.fitted_to  # its pages go live with a fit to their site
    shipped["receive"] |= {"host": "127.0.0.1", "port": free_port()}
    shipped["web"] |= {"port": free_port(), "health_port": free_port()}
    shipped["studies"] |= {"quiet_s": 0.5, "max_study_age_d": 36500.0}
    shipped["keep"] |= {"reserve_gib": 0.0, "purge_below_gib": 0.0}
    shipped["destinations"] = [{"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": pacs_port}]
    shipped["database"] = address or shipped["database"]
    (folder / "gateway.yaml").write_text(yaml.safe_dump(shipped))


def fill(sandbox: Sandbox) -> None:
    """Send studies to the node that a page has started, once, and wait for their results; write labels for them."""
    if (sandbox.folder / "sent").exists():
        return
    (sandbox.folder / "sent").touch()
    port = yaml.safe_load((sandbox.folder / "gateway.yaml").read_text())["receive"]["port"]
    images = radiographs(STUDIES)
    assert [send(port, image) for image in images] == [0] * STUDIES
    status = Command("", 0, "python -m gateway status")
    try:
        wait_for(lambda: f"studies stored: {STUDIES}" in sandbox.run(status), _PATIENCE_S, "the results")
    except TimeoutError:
        pytest.fail(f"{sandbox.printed[-1]}\n{sandbox.log()[-6000:]}")
    header = ["image", "patient", *(finding.label for finding in Finding)]
    rows = [[str(image.SOPInstanceUID), f"p{k}", *[str(k % 2)] * len(Finding)] for k, image in enumerate(images)]
    data.write_table(sandbox.folder / "labels.csv", header, rows)


@pytest.mark.parametrize(
    "command", [c for c in commands("docs/explanation/lung-field.md") if c.module == "timeit"], ids=str
)
def test_what_is_timed_runs(command: Command, tmp_path: Path) -> None:
    assert "loop" in Sandbox(tmp_path / "box", {}).run(command)
