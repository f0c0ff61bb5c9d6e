"""Write the reference tables of settings, findings, reasons, errors and data sets from the code.

python tools/make_reference.py          write docs/reference/*.md
python tools/make_reference.py --check  end with 1 when a page is not what the code says
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pydantic import BaseModel  # noqa: E402
from pydantic.fields import FieldInfo  # noqa: E402

import gateway  # noqa: E402
from candor.settings import Settings  # noqa: E402
from candor.study import errors  # noqa: E402
from candor.study.errors import CandorError  # noqa: E402
from candor.study.findings import Finding  # noqa: E402
from candor.study.reasons import Reason, ReasonKind  # noqa: E402
from gateway.settings import Settings as GatewaySettings  # noqa: E402
from training.data.readers import POLICIES, READERS, plain  # noqa: E402
from training.data.readers.chexpert import FINDINGS, LEFT_OUT, OBSERVATIONS  # noqa: E402
from training.data.splits import SPLITS  # noqa: E402

FOLDER = ROOT / "docs" / "reference"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def settings_page() -> str:
    """Return a table of every setting with its default, and one of each block in it."""
    text = (
        "# Settings\n\nThe `candor` block of `app.yaml`. An unknown or impossible setting is an error that names the "
        "line.\n"
    )
    for title, block in _blocks("", Settings):
        text += f"\n## {title}\n\n{inspect.getdoc(block)}\n\n" if title else "\n"
        text += table(("setting", "default", "meaning"), _settings(block))
    return text


def findings_page() -> str:
    """Return a table of every finding with its codes."""
    rows = [
        (
            finding.display,
            f"`{finding.label}`",
            f"{finding.code.value} {finding.code.scheme} {finding.code.meaning}",
            f"{finding.site.value} {finding.site.scheme} {finding.site.meaning}",
        )
        for finding in Finding
    ]
    return "# Findings\n\nThe 14 findings of ChestX-ray14, in the order of the network's outputs.\n\n" + table(
        ("finding", "label", "finding code", "site code"), rows
    )


def reasons_page() -> str:
    """Return a table of every coded reason by its kind."""
    titles = {
        ReasonKind.REFUSAL: "Why an image is not assessed",
        ReasonKind.DEFERRAL: "Why a finding is deferred to a radiologist",
        ReasonKind.CHECK: "What the checks of the picture say: refused, deferred or noticed, as `app.yaml` sets",
        ReasonKind.NOTICE: "What is noticed about an image that is assessed all the same",
    }
    text = (
        "# Reasons\n\nEvery refusal and every deferral has one of these codes, in the report and in `results.json`. "
        "Coding scheme: `99CANDOR`.\n"
    )
    for kind, title in titles.items():
        rows = [(f"`{reason.code}`", reason.meaning) for reason in Reason if reason.kind is kind]
        text += f"\n## {title}\n\n" + table(("code", "meaning"), rows)
    return text


def errors_page() -> str:
    """Return a table of every error that is raised on purpose."""
    classes = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, CandorError)]
    rows = [(f"`{cls.__name__}`", (inspect.getdoc(cls) or "").splitlines()[0]) for cls in classes]
    return (
        "# Errors\n\nAll errors that Candor raises on purpose, from `candor/study/errors.py`. On the command line each "
        "is one line on standard error, and the exit code is 2; an instance that is refused ends no run.\n\n"
        + table(("error", "meaning"), rows)
        + "\n## Of the node\n\n"
        + table(("error", "meaning"), _gateway_errors())
    )


def _gateway_errors() -> list[tuple[str, str]]:
    """Return a table of the errors that the node's own modules raise; the worker's come from the core."""
    for module in pkgutil.walk_packages(gateway.__path__, "gateway."):
        if module.name not in ("gateway.assess.application", "gateway.__main__"):
            importlib.import_module(module.name)
    found = [cls for cls in _below(CandorError) if cls.__module__.startswith("gateway.")]
    named = {cls.__name__: (inspect.getdoc(cls) or "").splitlines()[0] for cls in found}
    return [(f"`{name}`", named[name]) for name in sorted(named)]


def _below(cls: type[CandorError]) -> Iterable[type[CandorError]]:
    for child in cls.__subclasses__():
        yield child
        yield from _below(child)


def data_sets_page() -> str:
    """Return a table of every layout that is read, and of the labels that are not findings."""
    layouts = [
        (
            f"`{kind}`",
            reader.layout,
            "all 14" if reader.findings == tuple(Finding) else _listed(reader.findings) or "those of its columns",
        )
        for kind, reader in READERS.items()
    ]
    labels = [(name, f"`{finding.label}`") for name, finding in OBSERVATIONS.items()]
    labels += [(name, f"left out: {why}") for name, why in LEFT_OUT.items()]
    never = _listed(finding for finding in Finding if finding not in FINDINGS)
    policies = [
        (f"`{name}`", policy.rule.value, ", ".join(f"{f.label} {u.value}" for f, u in policy.exceptions.items()))
        for name, policy in POLICIES.items()
    ]
    return (
        "# Data sets\n\n`training.data.readers.read_dataset` reads each of these in the layout that its "
        "publisher ships; what lies in the folder decides which it is.\n\n"
        + table(("kind", "what the folder holds", "findings"), layouts)
        + "\n## CheXpert and MIMIC-CXR-JPG\n\nBoth carry the answers of one labeller. A blank counts as absent. "
        f"It does not look for {never}: there the label is NaN, never 0. An image whose labels are all uncertain is "
        "left out.\n\n"
        + table(("label", "finding"), labels)
        + "\n## The COVID-19 image data collection\n\nIts column `finding` is a diagnosis of the patient, kept as "
        "`disease`. It maps to `Pneumonia` where it says so, and `No Finding` to the absence of all 14; the rest is "
        "NaN. CT slices are left out, and a case that is counted twice is one patient.\n"
        f"\n## A table of one's own\n\n{_plain_table()}"
        "\n## Uncertain labels\n\n" + table(("policy", "uncertain counts as", "but"), policies) + "\n## Splits\n\n"
        "Always by patient; `splits.json` in the bundle names the rule, the seed and every patient.\n\n"
        + table(("split", "rule"), [(f"`{name}`", split.rule) for name, split in SPLITS.items()])
    )


def _plain_table() -> str:
    text = inspect.getdoc(plain) or ""
    return text.split("\n\n", 1)[1].replace("``", "`") + "\n"


def _listed(findings: Iterable[Finding]) -> str:
    return ", ".join(f"`{finding.label}`" for finding in findings)


def gateway_settings_page() -> str:
    """Return a table of every setting of the node, block by block."""
    text = (
        "# Settings of the node\n\n`gateway.yaml`. Relative paths count from its folder. An unknown or invalid "
        "setting is an error that names the line; `python -m gateway check-config` checks the file.\n"
    )
    for title, block in _blocks("", GatewaySettings):
        text += f"\n## {title or 'At the top'}\n\n{inspect.getdoc(block)}\n\n"
        text += table(("setting", "default", "meaning"), _settings(block))
    return text


def _settings(block: type[BaseModel]) -> list[tuple[object, ...]]:
    """Return the rows of a block's settings; a block in it has a table of its own."""
    return [
        (f"`{name}`", _default(field), field.description)
        for name, field in block.model_fields.items()
        if field.description
    ]


def _blocks(name: str, block: type[BaseModel]) -> Iterable[tuple[str, type[BaseModel]]]:
    yield name and f"`{name}`", block
    for key, field in block.model_fields.items():
        for inner in _models(field.annotation):
            yield from _blocks(f"{name}.{key}" if name else key, inner)


def _models(annotation: object) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _models(part)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    return _written(field.default)


def _written(value: object) -> str:
    """Return a value as it is written in the settings file."""
    if isinstance(value, tuple):
        return f"`[{', '.join(value)}]`"
    return f"`{'null' if value is None else str(value).lower() if isinstance(value, bool) else value}`"


PAGES = {
    "settings.md": settings_page,
    "gateway-settings.md": gateway_settings_page,
    "findings.md": findings_page,
    "reasons.md": reasons_page,
    "errors.md": errors_page,
    "data-sets.md": data_sets_page,
}


def main() -> int:
    """Write the pages, or check them."""
    stale = [
        name for name, page in PAGES.items() if not (FOLDER / name).exists() or (FOLDER / name).read_text() != page()
    ]
    if "--check" in sys.argv[1:]:
        for name in stale:
            print(
                f"docs/reference/{name} is not what the code says; run python tools/make_reference.py", file=sys.stderr
            )
        return int(bool(stale))
    for name in stale:
        (FOLDER / name).write_text(PAGES[name]())
        print(f"wrote docs/reference/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
