"""Documents name things that exist, and can be read in a terminal."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("*/*.md"))]


def document_id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a document."""
    headings = re.findall(r"^#+ (.*)$", without_code(document.read_text()), re.M)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def test_anchors_follow_githubs_rules(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("# Limits, errors and `close` codes\n```sh\n# no heading\n```\n")
    assert anchors(document) == {"limits-errors-and-close-codes"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=document_id)
def test_links_lead_to_files_and_headings(document: Path) -> None:
    broken = []
    for link in re.findall(r"\]\((?!https?://)([^)]+)\)", without_code(document.read_text())):
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=document_id)
def test_lines_of_prose_are_short(document: Path) -> None:
    lines = without_code(document.read_text()).splitlines()
    long = [line for line in lines if len(line) > 120 and not line.startswith("|") and "](" not in line]
    assert [line for line in long if "`" not in line or len(line.split()) > 8] == []
