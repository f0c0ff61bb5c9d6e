"""Write the DICOM conformance statement from the code.

python -m tools.make_conformance          write docs/reference/dicom-conformance.md
python -m tools.make_conformance --check  end with 1 when the page is not what the code says
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from tools.conformance.statement import page

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "reference" / "dicom-conformance.md"


def main() -> int:
    """Write the page, or check it."""
    said = page()
    stale = not PAGE.exists() or PAGE.read_text() != said
    if "--check" in sys.argv[1:]:
        if stale:
            told = "is not what the code says; run python -m tools.make_conformance"
            print(f"docs/reference/{PAGE.name} {told}", file=sys.stderr)
        return int(stale)
    if stale:
        PAGE.write_text(said)
        print(f"wrote docs/reference/{PAGE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
