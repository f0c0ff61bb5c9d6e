"""What ships with the code is found in an installed package and in a checkout."""

from __future__ import annotations

from pathlib import Path

from candor.files.shipped import shipped, shipped_folder
from tests.conftest import ROOT


def test_in_a_checkout_it_lies_beside_the_package() -> None:
    assert shipped_folder() == ROOT
    assert shipped("app.yaml").read_bytes() == (ROOT / "app.yaml").read_bytes()


def test_in_an_installed_package_it_lies_inside(tmp_path: Path) -> None:
    package = tmp_path / "candor"
    package.mkdir()
    assert shipped_folder(package) == tmp_path
    (package / "shipped").mkdir()
    assert shipped_folder(package) == package / "shipped"
