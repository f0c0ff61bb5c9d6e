"""Candor: chest radiographs to findings, or to a radiologist. Research use only, not for diagnosis.

The public functions are imported when they are first asked for, so that ``import candor`` alone costs nothing; their
types stand in ``__init__.pyi``. The subpackages are the core: domain types and pure functions that know no SDK and no
network.
"""

from importlib import import_module

__version__ = "0.1.0"

RESEARCH_USE = "Research use only, not for diagnosis"
"""Stands in every output; nothing leaves Candor without it."""

_WHERE = {
    "StudyResult": "candor.study.study_result",
    "assess": "candor.assessment",
    "load_bundle": "candor.model.bundle",
}

__all__ = ["RESEARCH_USE", "StudyResult", "__version__", "assess", "load_bundle"]


def __getattr__(name: str) -> object:
    """Import what is public when it is first asked for (PEP 562)."""
    if name not in _WHERE:
        raise AttributeError(f"module 'candor' has no attribute {name!r}")
    value = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value
