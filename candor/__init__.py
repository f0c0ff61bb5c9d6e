"""Candor: chest radiographs to findings, or to a radiologist. Research use only, not for diagnosis.

The public functions are imported at their first use, so that ``import candor`` is fast; their types are declared in
``__init__.pyi``. The subpackages are the core: domain types and pure functions, without an SDK and without network
access.
"""

from importlib import import_module

__version__ = "0.1.0"

RESEARCH_USE = "Research use only, not for diagnosis"
"""The notice that every output holds."""

_WHERE = {
    "StudyResult": "candor.study.study_result",
    "assess": "candor.assessment",
    "load_bundle": "candor.model.bundle",
}

__all__ = ["RESEARCH_USE", "StudyResult", "__version__", "assess", "load_bundle"]


def __getattr__(name: str) -> object:
    """Import a public name at its first use (PEP 562)."""
    if name not in _WHERE:
        raise AttributeError(f"module 'candor' has no attribute {name!r}")
    value = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value
