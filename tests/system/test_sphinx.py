# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The documentation builds without a warning, is complete, and can be read in a wide and in a narrow window.

The tests of the widths need chromium and chromium-driver (apt) and selenium (PyPI).
"""

import re
import sys

import pytest
from support.browser import chromium, set_width
from support.builds import ROOT, needs_package, run

import replace

DOCS = ROOT / "docs"
WIDTHS = [1280, 400]

#: Returns the page's width, and its tables whose columns are cut off. A table that scrolls in a box is not cut off.
LOOK = """
const scrolls = element => ["auto", "scroll"].includes(getComputedStyle(element).overflowX);
const fits = (table, box) => table.getBoundingClientRect().right <= box.getBoundingClientRect().right + 1;
const cut = Array.from(document.querySelectorAll("table")).filter(table => {
  for (let box = table; box !== document.body; box = box.parentElement) {
    if (scrolls(box)) return box.getBoundingClientRect().right > innerWidth;
    if (!fits(table, box)) return true;
  }
  return !fits(table, document.body);
});
return [document.documentElement.scrollWidth, cut.map(table => table.innerText.slice(0, 80))];
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    needs_package("sphinx", "myst-parser", "furo", "linuxdoc")
    target = tmp_path_factory.mktemp("html")
    out = run(
        sys.executable, "-m", "sphinx", "-W", "--keep-going", "-E", "-q", "-d", target / "cache", DOCS, target, cwd="/"
    )
    assert out.returncode == 0, out.stdout + out.stderr
    return target


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


def pages(folder):
    """Return the name of every page, without its suffix."""
    return {str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.html")} - {
        "genindex",
        "search",
        "py-modindex",
    }


def test_every_page_is_in_one_table_of_contents(built):
    sources = {str(path.relative_to(DOCS).with_suffix("")) for path in DOCS.rglob("*.md")}
    assert pages(built) == sources
    trees = re.findall(r"^```\{toctree\}\n(?::.*\n)*\n((?:\S+\n)*)```", (DOCS / "index.md").read_text(), re.M)
    assert [tree.split()[0] for tree in trees] == ["start-python", "start-c", "start-package", "start-report"]
    assert sorted(" ".join(trees).split()) == sorted(sources - {"index"})


def test_first_page_starts_as_readme_does(built):
    first = (ROOT / "README.md").read_text().split("\n\n")[1].split("**")[0]
    assert " ".join(first.replace("`", "").split()) in as_text(built / "index.html")
    assert "```{include} ../README.md" in (DOCS / "index.md").read_text()


def as_text(page):
    """Return the words of a page, without its tags."""
    return " ".join(re.sub(r"<[^>]+>", "", page.read_text()).replace("&#39;", "'").replace("’", "'").split())


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_the_window(built, browser, width):
    set_width(browser, width)
    for page in sorted(built.rglob("*.html")):
        browser.get(page.as_uri())
        assert browser.execute_script("return innerWidth") == width
        page_width, cut = browser.execute_script(LOOK)
        assert page_width <= width, page.name
        assert not cut, (page.name, cut)


@pytest.mark.parametrize("width", WIDTHS)
def test_table_that_is_cut_off_is_found(browser, width, tmp_path):
    """Control: one box hides the end of a wide table, the other scrolls."""
    set_width(browser, width)
    table = f"<table style='width: {width * 2}px'><tr><td>cell</td></tr></table>"
    for overflow, cut in (("hidden", ["cell"]), ("auto", [])):
        page = tmp_path / f"{overflow}.html"
        page.write_text(
            f"<!doctype html><meta name='viewport' content='width=device-width'>"
            f"<div style='overflow-x: {overflow}'>{table}</div>"
        )
        browser.get(page.as_uri())
        assert browser.execute_script(LOOK)[1] == cut


def test_every_public_name_is_in_the_reference(built):
    text = (built / "reference.html").read_text()
    missing = [
        name for name in replace.__all__ if f'id="replace.{name}"' not in text and f"libreplace_{name}" not in text
    ]
    assert missing == ["ffi", "lib"], "the reference mentions only these names in its text"
    assert all(f"replace.{name}" in (DOCS / "reference.md").read_text() for name in missing)


def test_every_picture_is_in_a_page(built):
    text = (ROOT / "CONTRIBUTING.md").read_text() + "".join(path.read_text() for path in built.rglob("*.html"))
    for picture in DOCS.rglob("*.svg"):
        assert picture.name in text, picture


def test_documentation_shows_the_version_of_the_build(built):
    assert f"libreplace {replace.report()['version']}" in (built / "index.html").read_text()


def test_reference_lists_parameters_and_links_option_types(built):
    text = (built / "reference.html").read_text()
    start = text.index('id="replace.impersonate"')
    entry = text[start : text.index("</dl>", text.index("Raises", start))]
    for name in ("Level", "OnFailure", "Guard"):
        assert f'href="#replace.{name}"' in entry
        assert f'id="replace.{name}"' in text
    assert re.search(r"Parameters<.*<li><p><strong>identity</strong>.*Returns<.*Raises<", entry, re.S)
    assert text.count(">Raises<") >= text.count('id="replace.set')
