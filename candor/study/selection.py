"""The words that say what a picture shows, in several languages, and how they are found in a header's value.

Vendors and sites write what they like: ``PORT CHEST``, ``P.A.``, ``TORACE``. A value is cut into words without accents,
signs and capitals, and single letters in a row are one word (``P.A.`` is ``PA``). A phrase of the table is found where
all its words stand together in the value. A value in which no phrase is found states nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

_LONGEST_SHOWN: Final = 32


def _phrases(table: str) -> tuple[str, ...]:
    return tuple(phrase.strip() for phrase in table.split("|"))


CHEST: Final = _phrases(
    """CHEST|CXR|LUNG|LUNGS|THORAX|THORAXORGANE|BRUSTKORB|LUNGE|LUNGEN|CAGE THORACIQUE|POUMON|POUMONS|POITRINE|TORACE
    |POLMONE|POLMONI|TORAX|PECHO|PULMON|PULMONES|PEITO|PULMAO|PULMOES|BORSTKAS|KLATKA PIERSIOWA|PLUCA|BROSTKORG|LUNGOR
    |LUNGER|KEUHKOT|GOGUS|AKCIGER|HRUDNIK|ΘΩΡΑΚΑΣ|ΘΩΡΑΚΟΣ|ГРУДНАЯ КЛЕТКА|ЛЕГКИЕ|ОГК|胸部|흉부|صدر"""
)

OTHER_BODY_PARTS: Final = _phrases(
    """SKULL|HEAD|BRAIN|SINUS|SINUSES|FACE|FACIAL|ORBIT|ORBITS|NASAL|MANDIBLE|JAW|TMJ|TEETH|TOOTH|DENTAL|NECK|SPINE|CSPINE
    |TSPINE|LSPINE|SSPINE|CERVICAL|LUMBAR|VERTEBRA|VERTEBRAE|SACRUM|COCCYX|PELVIS|HIP|HIPS|ABDOMEN|ABD|KUB|KIDNEY|BLADDER
    |STOMACH|COLON|ESOPHAGUS|BREAST|MAMMA|RIB|RIBS|STERNUM|CLAVICLE|SCAPULA|SHOULDER|HUMERUS|ARM|ELBOW|FOREARM|RADIUS|ULNA
    |WRIST|HAND|FINGER|THUMB|FEMUR|LEG|KNEE|PATELLA|TIBIA|FIBULA|ANKLE|FOOT|FEET|HEEL|CALCANEUS|TOE|EXTREMITY|BONE|BONES
    |WHOLE BODY|WHOLEBODY|BABYGRAM
    |SCHAEDEL|SCHADEL|KOPF|NASE|NASENNEBENHOHLEN|KIEFER|HALS|HWS|BWS|LWS|WIRBELSAULE|WIRBELSAEULE|BECKEN|HUFTE|HUEFTE
    |ABDOMENUBERSICHT|BAUCH|BRUSTBEIN|RIPPE|RIPPEN|SCHLUSSELBEIN|SCHULTER|OBERARM|ELLENBOGEN|UNTERARM|HANDGELENK
    |OBERSCHENKEL|KNIE|UNTERSCHENKEL|SPRUNGGELENK|FUSS|ZEHE
    |CRANE|TETE|COU|RACHIS|BASSIN|HANCHE|GRIL COSTAL|EPAULE|BRAS|COUDE|POIGNET|DOIGT|CUISSE|GENOU|JAMBE|CHEVILLE|PIED
    |CRANIO|TESTA|COLLO|COLONNA|RACHIDE|BACINO|ANCA|ADDOME|SPALLA|BRACCIO|GOMITO|POLSO|MANO|DITO|GINOCCHIO|GAMBA
    |CAVIGLIA|PIEDE|COSTE
    |CRANEO|CABEZA|CUELLO|COLUMNA|CADERA|HOMBRO|BRAZO|CODO|MUNECA|DEDO|RODILLA|PIERNA|TOBILLO|COSTILLA|COSTILLAS
    |CABECA|PESCOCO|COLUNA|BACIA|QUADRIL|OMBRO|BRACO|COTOVELO|PUNHO|MAO|JOELHO|PERNA|TORNOZELO|COSTELA|COSTELAS
    |SCHEDEL|HOOFD|BEKKEN|HEUP|BUIK|WERVELKOLOM|SCHOUDER|ELLEBOOG|POLS|ENKEL|VOET|RIBBEN
    |CZASZKA|KREGOSLUP|MIEDNICA|BIODRO|BRZUCH|BARK|LOKIEC|KOLANO|STOPA|ZEBRA
    |ЧЕРЕП|ПОЗВОНОЧНИК|КОЛЕНО|СТОПА|КИСТЬ|ПЛЕЧО|头颅|腹部|骨盆|膝|頭部|骨盤|복부"""
)

FRONTAL: Final = _phrases(
    """PA|AP|FRONTAL|POSTEROANTERIOR|POSTERO ANTERIOR|POSTERIOR ANTERIOR|ANTEROPOSTERIOR|ANTERO POSTERIOR
    |ANTERIOR POSTERIOR|FRONTALE|FACE|POSTERO ANTERIEUR|ANTERO POSTERIEUR|POSTEROANTERIORE|ANTEROPOSTERIORE
    |POSTERO ANTERIORE|ANTERO POSTERIORE|ПРЯМАЯ|正面|正位|정면"""
)

DECUBITUS: Final = ("DECUBITUS", "DECUB", "DECUBITO", "RLD", "LLD", "SEITENLAGE", "側臥位", "侧卧位")

OTHER_VIEWS: Final = _phrases(
    """LATERAL|LAT|LL|RL|LLAT|RLAT|LATERO LATERAL|LATEROLATERAL|LATERALE|LATEROLATERALE|LATERO LATERALE|SEITLICH|PROFIL
    |PERFIL|PROFILO|ZIJDELINGS|БОКОВАЯ|側面|侧位|측면|OBLIQUE|OBL|OBLIQUO|OBLIQUA|OBLICUA|OBLICUO|SCHRAG|SCHRAEG|RAO|LAO
    |RPO|LPO|LORDOTIC|LORDOTISCH|LORDOTICA|LORDOSE|AXIAL|TANGENTIAL|MLO|CC|ML|LM|XCCL|SWIMMERS|SUNRISE"""
)

OTHER_MODALITIES: Final = _phrases(
    """AR|ASMT|AU|BDUS|BI|BMD|CT|DOC|DG|ECG|EEG|EMG|EOG|EPS|ES|FID|GM|HC|HD|IO|IOL|IVOCT|IVUS|KER|KO|LEN|LS|MG|MR|M3D|NM
    |OAM|OCT|OP|OPM|OPT|OPTBSV|OPTENF|OPV|OSS|OT|PLAN|POS|PR|PT|PX|REG|RESP|RF|RTDOSE|RTIMAGE|RTINTENT|RTPLAN|RTRAD
    |RTRECORD|RTSEGANN|RTSTRUCT|RWV|SEG|SM|SMR|SR|SRF|STAIN|TEXTUREMAP|TG|US|VA|XA|XC|XAPROTOCOL"""
)

PROCESSING: Final = ("FOR PROCESSING", "PROCESSING", "RAW")

HUMAN: Final = ("HUMAN", "HOMO SAPIENS", "MENSCH", "HUMAIN", "UMANO", "HUMANO")

ANIMALS: Final = _phrases(
    """CANINE|CANIS|DOG|FELINE|FELIS|CAT|EQUINE|EQUUS|HORSE|BOVINE|BOS|COW|PORCINE|SUS|PIG|SWINE|MINIPIG|OVINE|OVIS|SHEEP
    |CAPRINE|GOAT|RABBIT|LEPORINE|ORYCTOLAGUS|RAT|RATTUS|MOUSE|MUS|MURINE|PRIMATE|MONKEY|MACACA|AVIAN|BIRD|REPTILE|EXOTIC
    |HUND|KATZE|PFERD|CHIEN|CHAT|CHEVAL|CANE|GATTO|CAVALLO|PERRO|GATO|CABALLO|CAO|CAVALO|VETERINARY"""
)

SUBTRACTION: Final = _phrases(
    """BONE SUPPRESSED|BONE SUPPRESSION|BONE SUPPRESS|BONESUPPRESSED|BONESUPPRESSION|RIB SUPPRESSED|RIB SUPPRESSION
    |DUAL ENERGY|DUALENERGY|ENERGY SUBTRACTION|ENERGY SUBTRACTED|SOFT TISSUE|TEMPORAL SUBTRACTION|KNOCHENUNTERDRUCKUNG
    |SUPPRESSION OSSEUSE|SUPRESION OSEA|SOPPRESSIONE OSSEA|DOPPELENERGIE|DOUBLE ENERGIE"""
)


@dataclass(frozen=True, slots=True)
class Words:
    """The table of phrases, each field a list in no order.

    Parameters
    ----------
    chest, other_body_parts
        Of Body Part Examined.
    frontal, decubitus, other_views
        Of View Position.
    other_modalities
        Of Modality.
    processing
        Of Presentation Intent Type, where the image is for processing.
    human, animals
        Of the species; an animal in the body part counts too.
    subtraction
        Of Image Type and of texts about a picture's making: bone-suppressed and dual-energy pictures.
    """

    chest: tuple[str, ...] = CHEST
    other_body_parts: tuple[str, ...] = OTHER_BODY_PARTS
    frontal: tuple[str, ...] = FRONTAL
    decubitus: tuple[str, ...] = DECUBITUS
    other_views: tuple[str, ...] = OTHER_VIEWS
    other_modalities: tuple[str, ...] = OTHER_MODALITIES
    processing: tuple[str, ...] = PROCESSING
    human: tuple[str, ...] = HUMAN
    animals: tuple[str, ...] = ANIMALS
    subtraction: tuple[str, ...] = SUBTRACTION


DEFAULT_WORDS: Final = Words()
"""The table where a site sets none."""


def found(phrases: tuple[str, ...], value: str) -> bool:
    """Return whether a value holds one of the phrases.

    Parameters
    ----------
    phrases
        A field of :class:`Words`.
    value
        The value of an attribute.
    """
    words = split(value)
    table = _table(phrases)
    longest = max(map(len, table), default=0)
    return any(
        words[first:end] in table
        for first in range(len(words))
        for end in range(first + 1, min(first + longest, len(words)) + 1)
    )


def split(value: str) -> tuple[str, ...]:
    """Return the words of a value, in capitals, without accents and signs; single letters in a row are one word."""
    plain = unicodedata.normalize("NFKD", value.upper())
    plain = "".join(letter for letter in plain if unicodedata.category(letter) != "Mn")
    words: list[str] = []
    spelled = False
    for word in re.findall(r"[^\W_]+", plain):
        single = len(word) == 1 and word.isascii() and word.isalpha()
        if single and spelled:
            words[-1] += word
        else:
            words.append(word)
        spelled = single
    return tuple(words)


def shown(value: str) -> str:
    """Return a value as a report, a page and a metric may show it: short, with letters, digits and few signs alone."""
    plain = re.sub(r"[^\w .,/+-]", "?", " ".join(value.split()))
    return plain if len(plain) <= _LONGEST_SHOWN else f"{plain[: _LONGEST_SHOWN - 3]}..."


@cache
def _table(phrases: Sequence[str]) -> frozenset[tuple[str, ...]]:
    return frozenset(words for phrase in phrases if (words := split(phrase)))
