"""What the site needs beside the pages: figures and notes that lie elsewhere in the repository.

Links in the pages hold on a file system. The site is built from ``docs`` alone, so what they name outside is added
under its own path, one folder deeper, and the links follow.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
OUTSIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/README.md", "studies/README.md", "validation/README.md")
"""Notes that pages link to; figures are added beside them."""
LINK = re.compile(
    r"\]\((?:\.\./)((?:\.\./)*)((?:figures|benchmarks|studies|validation)/[^)#]+|CHANGELOG\.md|CONTRIBUTING\.md)"
)
"""A link to one of them; one step upwards more than on the site."""
ROLE = re.compile(r":(?:class|func|meth|mod|data|attr):(?=<code>)")
"""What docstrings write before a name."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies outside ``docs``."""
    for path in (*map(Path, OUTSIDE), *(file.relative_to(ROOT) for file in sorted(ROOT.glob("figures/*.png")))):
        files.append(File.generated(config, str(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to it, one folder deeper, and its links to the pages."""
    if page.file.src_uri == "CONTRIBUTING.md":
        return markdown.replace("](docs/", "](")
    return markdown.replace("](../docs/", "](../") if page.file.src_uri in OUTSIDE else LINK.sub(r"](\1\2", markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Names of docstrings without their roles."""
    return ROLE.sub("", html)
