"""The check of docstrings finds what is not described, and accepts the forms that we use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import docstrings

DESCRIBED = '''
def ratio(part: int, whole: int) -> float:
    """Return a ratio.

    Parameters
    ----------
    {0}
        Counts.
    """
'''


@pytest.mark.parametrize(
    "names", ["part, whole", "part\n        One.\n    whole", "part : int\n        One.\n    whole : int"]
)
def test_described_parameters_are_found(names: str) -> None:
    assert not list(docstrings.undescribed(DESCRIBED.format(names)))


@pytest.mark.parametrize(("names", "missing"), [("part", ["whole"]), ("parts", ["part", "whole"])])
def test_what_is_not_described_is_named(names: str, missing: list[str]) -> None:
    assert list(docstrings.undescribed(DESCRIBED.format(names))) == [(2, "ratio", missing)]


def test_one_parameter_and_private_functions_need_no_section() -> None:
    assert not list(docstrings.undescribed('def f(x):\n    """Return x."""\ndef _g(x, y):\n    return x\n'))


def test_a_constructor_may_be_described_by_its_class() -> None:
    text = 'class A:\n    """Hold.\n\n    Parameters\n    ----------\n    x, y\n        Sides.\n    """\n\n'
    assert not list(docstrings.undescribed(text + "    def __init__(self, x, y): ...\n"))
    assert list(docstrings.undescribed(text + '    def move(self, x, y):\n        """Move."""\n'))


def test_an_override_may_refer_to_what_it_overrides() -> None:
    assert not list(docstrings.undescribed('class A:\n    def run(self, x, y):\n        """See :meth:`B.run`."""\n'))


def test_the_command_names_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(docstrings, "ROOT", tmp_path)
    (tmp_path / "a.py").write_text('def f(x, y):\n    """Add."""\n')
    assert docstrings.main(["a.py"]) == 1
    assert capsys.readouterr().out == "a.py:1: f does not describe x, y\n"
    (tmp_path / "a.py").write_text('def f(x):\n    """Return x."""\n')
    assert docstrings.main(["a.py"]) == 0
