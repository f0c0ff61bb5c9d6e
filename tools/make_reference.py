"""Write the reference tables of settings, findings, reasons and errors from the code.

python tools/make_reference.py          write docs/reference/*.md
python tools/make_reference.py --check  end with 1 when a page is not what the code says
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from cxr import errors  # noqa: E402
from cxr.errors import CandorError  # noqa: E402
from cxr.findings import Finding  # noqa: E402
from cxr.reasons import Reason, ReasonKind  # noqa: E402
from cxr.settings import Settings  # noqa: E402

FOLDER = ROOT / "docs" / "reference"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Format a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def settings_page() -> str:
    """List every setting with its default."""
    rows = [
        (f"`{f.name}`", "`null`" if f.default is None else f"`{f.default}`", f.metadata["help"])
        for f in dataclasses.fields(Settings)
    ]
    return (
        "# Settings\n\nThe `candor` block of `app.yaml`. An unknown or impossible setting is an error that names the "
        "line.\n\n" + table(("setting", "default", "meaning"), rows)
    )


def findings_page() -> str:
    """List every finding with its codes."""
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
    """List every coded reason by what it does."""
    titles = {
        ReasonKind.REFUSAL: "Why an image is not assessed",
        ReasonKind.DEFERRAL: "Why a finding is deferred to a radiologist",
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
    """List every error that is raised on purpose."""
    classes = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, CandorError)]
    rows = [(f"`{cls.__name__}`", (inspect.getdoc(cls) or "").splitlines()[0]) for cls in classes]
    return (
        "# Errors\n\nAll errors that Candor raises on purpose, from `cxr/errors.py`. On the command line each is one "
        "line on standard error, and the exit code is 2; an instance that is refused ends no run.\n\n"
        + table(("error", "meaning"), rows)
    )


PAGES = {
    "settings.md": settings_page,
    "findings.md": findings_page,
    "reasons.md": reasons_page,
    "errors.md": errors_page,
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
