from candor.assessment import assess as assess
from candor.model.bundle import load_bundle as load_bundle
from candor.study.study_result import StudyResult as StudyResult

RESEARCH_USE: str
__version__: str
__all__ = ["RESEARCH_USE", "StudyResult", "__version__", "assess", "load_bundle"]
