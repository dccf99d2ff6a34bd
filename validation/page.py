"""Put the tables into docs/validation.md, between their marks.

python validation/page.py
"""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "validation.md"
NAMES = ("barriers", "llc", "stages", "associations")


def filled(page: str) -> str:
    """The page with each table between its marks, one level of headings lower and folded.

    Args:
        page: Markdown with lines ``<!-- table NAME -->`` and ``<!-- end NAME -->``.
    """
    for name in NAMES:
        title, made, rest = (HERE / "tables" / f"{name}.md").read_text().split("\n\n", 2)
        folded = f"<details>\n<summary>{title.removeprefix('# ')}: all rates</summary>\n\n{rest.strip()}\n\n</details>"
        text = re.sub(r"^## ", "#### ", f"{made}\n\n{folded}", flags=re.MULTILINE)
        marks = f"<!-- table {name} -->", f"<!-- end {name} -->"
        before, middle = page.split(marks[0])
        page = f"{before}{marks[0]}\n{text}\n{marks[1]}{middle.split(marks[1])[1]}"
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
