"""The texts that people read in result objects, in each language.

Every language has all texts: fields have no default, and the tables by finding, decision, reason and region are
checked when this module is imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final, TypeVar

from candor import RESEARCH_USE
from candor.study.findings import Coded, Finding
from candor.study.reasons import Reason
from candor.study.result import AnyAbnormality, Decision

Key = TypeVar("Key")

REGIONS: Final = (
    *(
        f"{side} {zone} zone"
        for side in ("left", "right", "image-left", "image-right")
        for zone in ("upper", "middle", "lower")
    ),
    *(f"{zone} zone, midline" for zone in ("upper", "middle", "lower")),
    "none",
)
"""All regions that a heatmap can have its peak in (:func:`candor.evidence.heatmap.region_name`)."""


@unique
class Language(Enum):
    """A language by its tag (RFC 5646), as the setting ``language`` names it."""

    ENGLISH = "en-US"
    GERMAN = "de-DE"


@dataclass(frozen=True, slots=True)
class Texts:
    """All texts of one language.

    Parameters
    ----------
    code
        The coded language, as the report declares it (PS3.16 TID 1204, CID 5000).
    research_use
        The notice of research use: at most 64 characters, without a full stop at its end. In every language it
        begins with :data:`candor.RESEARCH_USE`.
    image_name, image_count
        The name of an image, and a number of images; with ``{number}``.
    reference_values
        The values to compare a finding's numbers with; with ``{prevalence}``, in %.
    interval
        The 90% interval of a finding's certainty; with ``{low}`` and ``{high}``, in %.
    foreign_fit
        That the answers rest on a fit to other patients; with ``{fitted_to}`` and ``{reason}``.
    outline_level
        Where a finding's outline is drawn; with ``{level}``, in % of the peak.
    overlay_title, overlay_prevalence, overlay_region
        The lines above an overlay's picture: with ``{finding}``, ``{decision}`` and ``{probability}``, in %; with
        ``{prevalence}``, in %; with ``{region}``.
    evidence, contour, no_evidence
        The words of an overlay's colour scale (:class:`candor.evidence.overlay.ScaleWords`).
    priority
        The study's place in the worklist; with ``{priority}``, from 0 to 100.
    priority_reference
        What that number is.
    look_first
        With ``{findings}``, each in the words of ``look_first_finding``: with ``{finding}``, ``{ratio}``,
        ``{probability}`` and ``{prevalence}`` in %, and ``{region}``.
    rule_out_promise
        With ``{missed}`` and ``{confidence}``, in %.
    any_abnormality
        A sentence for each answer; none of them may say that a study is normal.
    findings, decisions, reasons, regions
        A name for each, of at most 64 characters, so that it fits an LO and a Code Meaning.

    Raises
    ------
    KeyError
        A finding, decision, reason or region has no name.
    """

    language: Language
    code: Coded
    research_use: str
    nothing_assessed: str
    study_name: str
    image_name: str
    image_count: str
    notices: str
    reference_values: str
    interval: str
    foreign_fit: str
    outline_level: str
    overlay_title: str
    overlay_prevalence: str
    overlay_region: str
    evidence: str
    contour: str
    no_evidence: str
    priority: str
    priority_reference: str
    look_first: str
    look_first_finding: str
    rule_out_promise: str
    any_abnormality: Mapping[AnyAbnormality, str]
    findings: Mapping[Finding, str]
    decisions: Mapping[Decision, str]
    reasons: Mapping[Reason, str]
    regions: Mapping[str, str]

    def __post_init__(self) -> None:
        """Check that no table lacks a name."""
        _check_complete(self.any_abnormality, AnyAbnormality, self.language)
        _check_complete(self.findings, Finding, self.language)
        _check_complete(self.decisions, Decision, self.language)
        _check_complete(self.reasons, Reason, self.language)
        _check_complete(self.regions, REGIONS, self.language)

    def finding(self, finding: Finding) -> str:
        """Return the name of a finding."""
        return self.findings[finding]

    def reason(self, reason: Reason) -> str:
        """Return the meaning of a reason."""
        return self.reasons[reason]

    def region(self, region: str) -> str:
        """Return the name of a region of the picture (:attr:`candor.study.result.Heatmap.region`)."""
        return self.regions[region]

    def image(self, number: int, view: str) -> str:
        """Return the name of an image.

        Parameters
        ----------
        number
            Position in the study, from 1.
        view
            View Position (0018,5101); "" where it is not stated.
        """
        name = self.image_name.format(number=number)
        return f"{name} ({view})" if view else name


def _check_complete(table: Mapping[Key, str], keys: Iterable[Key], language: Language) -> None:
    missing = [key for key in keys if key not in table]
    if missing:
        raise KeyError(
            f"the texts in {language.value} lack {', '.join(map(str, missing))}; add them to candor/words/texts.py"
        )


ENGLISH: Final = Texts(
    language=Language.ENGLISH,
    code=Coded("en-US", "RFC5646", "English (United States)"),
    research_use=RESEARCH_USE,
    nothing_assessed="No image could be assessed: this report says nothing about the presence of any finding.",
    study_name="Study",
    image_name="image {number}",
    image_count="{number} images",
    notices="Notices",
    reference_values=(
        "Reference values: certainty {prevalence} % (the assumed prevalence), ratio 1, "
        "share of test images 50 % (their median). Where the prevalence differs, so does the certainty."
    ),
    interval="90 % interval of the certainty: {low} % to {high} %, by chance in the patients of the calibration alone.",
    foreign_fit="The answers rest on a fit to {fitted_to}, not to this site's own cases. Why it is used: {reason}",
    outline_level="The outline runs where the evidence is {level} % of its peak; it is no border of the finding.",
    overlay_title="{finding}: {decision}, P(present) {probability} %",
    overlay_prevalence="Assumed prevalence {prevalence} %",
    overlay_region="strongest evidence: {region}",
    evidence="Evidence",
    contour="contour",
    no_evidence="No evidence for the finding anywhere in the image",
    priority="Worklist priority {priority} of 100.",
    priority_reference=(
        "Worklist priority: share of the calibration studies that score lower, in %; 50 is their median. A study that "
        "could not be judged gets that of a typical abnormal one."
    ),
    look_first="Look first: {findings}.",
    look_first_finding=(
        "{finding} (odds {ratio} times those at the assumed prevalence: {probability} % against {prevalence} %, "
        "strongest evidence: {region})"
    ),
    rule_out_promise=(
        "Unremarkable by rule-out does not mean normal. Its promise: at most {missed} % of the abnormal studies are "
        "called unremarkable, with {confidence} % confidence, for patients like those of the calibration."
    ),
    any_abnormality={
        AnyAbnormality.RULED_OUT: (
            "Unremarkable by rule-out: nothing that Candor looks for is likely; a radiologist's reading is needed."
        ),
        AnyAbnormality.NOT_RULED_OUT: "An abnormality is not ruled out.",
        AnyAbnormality.NOT_JUDGED: "Candor could not judge this study; a radiologist's reading is needed.",
    },
    findings={finding: finding.display for finding in Finding},
    decisions={
        Decision.PRESENT: "Present",
        Decision.DEFERRED: "Deferred to a radiologist",
        Decision.ABSENT: "Absent",
        Decision.NOT_ASSESSED: "Not assessed",
    },
    reasons={reason: reason.meaning for reason in Reason},
    regions={region: region for region in REGIONS},
)

GERMAN: Final = Texts(
    language=Language.GERMAN,
    code=Coded("de-DE", "RFC5646", "German (Germany)"),
    research_use=f"{RESEARCH_USE}. Forschung, keine Diagnose",
    nothing_assessed="Kein Bild konnte beurteilt werden: Dieser Bericht sagt nichts darüber, ob ein Befund vorliegt.",
    study_name="Untersuchung",
    image_name="Bild {number}",
    image_count="{number} Bilder",
    notices="Hinweise",
    reference_values=(
        "Bezugswerte: Sicherheit {prevalence} % (die angenommene Prävalenz), Verhältnis 1, "
        "Anteil der Testbilder 50 % (ihr Median). Wo die Prävalenz anders ist, ist es auch die Sicherheit."
    ),
    interval="90-%-Intervall der Sicherheit: {low} % bis {high} %, nur für den Zufall der Kalibrierpatienten.",
    foreign_fit=(
        "Die Antworten beruhen auf einer Anpassung an {fitted_to}, nicht an Fälle dieses Hauses. "
        "Warum sie genutzt wird: {reason}"
    ),
    outline_level=(
        "Die Umrisslinie verläuft dort, wo die Evidenz {level} % ihres Höchstwerts hat; "
        "sie ist keine Grenze des Befunds."
    ),
    overlay_title="{finding}: {decision}, P(vorhanden) {probability} %",
    overlay_prevalence="Angenommene Prävalenz {prevalence} %",
    overlay_region="stärkste Evidenz: {region}",
    evidence="Evidenz",
    contour="Kontur",
    no_evidence="Nirgends im Bild Evidenz für den Befund",
    priority="Priorität in der Arbeitsliste: {priority} von 100.",
    priority_reference=(
        "Priorität in der Arbeitsliste: Anteil der Kalibrieruntersuchungen mit niedrigerem Wert, in %; 50 ist ihr "
        "Median. Eine Untersuchung, die nicht beurteilt werden konnte, erhält die einer typischen auffälligen."
    ),
    look_first="Zuerst ansehen: {findings}.",
    look_first_finding=(
        "{finding} (Chance {ratio}-mal so hoch wie bei der angenommenen Prävalenz: {probability} % gegenüber "
        "{prevalence} %, stärkste Evidenz: {region})"
    ),
    rule_out_promise=(
        "Unauffällig nach Ausschluss heißt nicht normal. Die Zusage: Höchstens {missed} % der auffälligen "
        "Untersuchungen werden unauffällig genannt, mit {confidence} % Konfidenz, für Patienten wie die der "
        "Kalibrierung."
    ),
    any_abnormality={
        AnyAbnormality.RULED_OUT: (
            "Unauffällig nach Ausschluss: Nichts, wonach Candor sucht, ist wahrscheinlich; radiologische Befundung "
            "erforderlich."
        ),
        AnyAbnormality.NOT_RULED_OUT: "Eine Auffälligkeit ist nicht ausgeschlossen.",
        AnyAbnormality.NOT_JUDGED: (
            "Candor konnte diese Untersuchung nicht beurteilen; radiologische Befundung erforderlich."
        ),
    },
    findings={
        Finding.ATELECTASIS: "Atelektase",
        Finding.CARDIOMEGALY: "Kardiomegalie",
        Finding.EFFUSION: "Pleuraerguss",
        Finding.INFILTRATION: "Infiltrat",
        Finding.MASS: "Raumforderung",
        Finding.NODULE: "Rundherd",
        Finding.PNEUMONIA: "Pneumonie",
        Finding.PNEUMOTHORAX: "Pneumothorax",
        Finding.CONSOLIDATION: "Konsolidierung",
        Finding.EDEMA: "Lungenödem",
        Finding.EMPHYSEMA: "Emphysem",
        Finding.FIBROSIS: "Fibrose",
        Finding.PLEURAL_THICKENING: "Pleuraverdickung",
        Finding.HERNIA: "Hiatushernie",
    },
    decisions={
        Decision.PRESENT: "Vorhanden",
        Decision.DEFERRED: "Der Radiologie überlassen",
        Decision.ABSENT: "Nicht vorhanden",
        Decision.NOT_ASSESSED: "Nicht beurteilt",
    },
    reasons={
        Reason.UNREADABLE: "Keine lesbare DICOM-Datei",
        Reason.INVALID_IDENTIFIERS: "Eine notwendige Kennung fehlt oder ist ungültig",
        Reason.DUPLICATE: "Dieselbe Instanz wie eine andere Datei",
        Reason.OWN_RESULT: "Ein Ergebnis dieser Anwendung",
        Reason.SAYS_OURS: "Eine Aufnahme, die diese Anwendung als Hersteller nennt",
        Reason.NOT_AN_IMAGE: "Kein Bild",
        Reason.NOT_RADIOGRAPHY: "Keine Projektionsradiographie",
        Reason.FOR_PROCESSING: "Bild zur Verarbeitung, nicht zur Darstellung",
        Reason.NOT_CHEST: "Eine andere Körperregion als der Thorax",
        Reason.NOT_FRONTAL: "Keine Frontalaufnahme",
        Reason.DECUBITUS: "Eine Aufnahme in Seitenlage",
        Reason.NOT_HUMAN: "Kein Mensch",
        Reason.QUALITY_CONTROL: "Ein Bild zur Qualitätskontrolle",
        Reason.SUBTRACTED: "Ein Bild mit unterdrückten Knochen oder aus zwei Energien",
        Reason.MULTI_FRAME: "Mehr als ein Einzelbild",
        Reason.COLOUR: "Kein Graustufenbild",
        Reason.TOO_SMALL: "Weniger Pixel, als das Netz braucht",
        Reason.TOO_LARGE: "Mehr Pixel, als eine Röntgenaufnahme hat",
        Reason.CONTRADICTION: "Attribute widersprechen einander",
        Reason.NO_PIXELS: "Keine Pixeldaten",
        Reason.UNDECODABLE: "Die Pixeldaten lassen sich nicht dekodieren",
        Reason.CONSTANT_PIXELS: "Die dekodierten Pixel enthalten kein Bild",
        Reason.TOO_MANY_IMAGES: "Die Untersuchung hat zu viele Bilder",
        Reason.UID_REUSED: "Eine andere Untersuchung nutzt die UID für ein anderes Bild",
        Reason.DAMAGED: "Ein gespeichertes Bild der Untersuchung ist beschädigt",
        Reason.PROCESSING_FAILED: "Verarbeitung fehlgeschlagen",
        Reason.BETWEEN_THRESHOLDS: "Weder wahrscheinlich noch unwahrscheinlich genug",
        Reason.UNSUPPORTED: "Die Kalibrierfälle stützen keinen Schwellenwert",
        Reason.GROUP: "Für Projektion, Geschlecht oder Alter nicht zugesichert",
        Reason.LIKELY_WRONG: "Die Antwort ist zu wahrscheinlich falsch",
        Reason.COST: "Antworten würde mehr kosten als überlassen",
        Reason.CLIPPED: "Ein großer Teil des Bildes ist ganz schwarz oder ganz weiß",
        Reason.NARROW_RANGE: "Das Bild nutzt wenige seiner Graustufen",
        Reason.INVERTED: "Schwarz und Weiß sind vertauscht",
        Reason.ROTATED: "Das Bild ist um 90 oder 180 Grad gedreht",
        Reason.MIRRORED: "Das Bild scheint gespiegelt zu sein",
        Reason.LOOKS_LATERAL: "Sieht wie eine Seitaufnahme aus",
        Reason.PAEDIATRIC: "Jünger als die Patienten, für die das Modell bestimmt ist",
        Reason.AGE_UNKNOWN: "Das Alter der untersuchten Person ist nicht angegeben",
        Reason.MUCH_TEXT: "Viel Text oder viele Markierungen im Bild",
        Reason.BORDERS: "Breite Ränder um das Bild",
        Reason.UNLIKE_CHEST: "Sieht nicht wie eine Thoraxaufnahme aus",
        Reason.UNLIKE_TRAINING: "Anders als die Bilder, mit denen das Modell trainiert wurde",
        Reason.SHORTCUT: "Die Antwort hängt an Markierungen oder Rändern",
        Reason.BODY_PART_BLANK: "Körperregion nicht angegeben; als Thorax angenommen",
        Reason.VIEW_BLANK: "Projektion nicht angegeben; als frontal angenommen",
        Reason.NO_VOI: "Weder Fenster noch VOI-LUT; der volle Bereich wird genutzt",
        Reason.LUT_BITS: "Die VOI-LUT hat andere Bits, als sie sagt; ihre Werte zählen",
        Reason.LUT_BROKEN: "Die VOI-LUT ist defekt; das genannte Fenster gilt",
        Reason.SHUTTER: "Die Datei nennt eine Anzeigeblende",
        Reason.LOSSY: "Verlustbehaftete Kompression",
    },
    regions={
        "left upper zone": "linkes Oberfeld",
        "left middle zone": "linkes Mittelfeld",
        "left lower zone": "linkes Unterfeld",
        "right upper zone": "rechtes Oberfeld",
        "right middle zone": "rechtes Mittelfeld",
        "right lower zone": "rechtes Unterfeld",
        "image-left upper zone": "Oberfeld, im Bild links",
        "image-left middle zone": "Mittelfeld, im Bild links",
        "image-left lower zone": "Unterfeld, im Bild links",
        "image-right upper zone": "Oberfeld, im Bild rechts",
        "image-right middle zone": "Mittelfeld, im Bild rechts",
        "image-right lower zone": "Unterfeld, im Bild rechts",
        "upper zone, midline": "Oberfeld, Mittellinie",
        "middle zone, midline": "Mittelfeld, Mittellinie",
        "lower zone, midline": "Unterfeld, Mittellinie",
        "none": "keine",
    },
)

_TEXTS: Final = {texts.language: texts for texts in (ENGLISH, GERMAN)}


def texts_of(language: Language) -> Texts:
    """Return the texts of a language."""
    return _TEXTS[language]
