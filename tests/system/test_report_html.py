# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The HTML report in Debian's Chromium: it opens, fits a phone, follows the system's colours and loads nothing.

Needs chromium and chromium-driver (apt) and selenium (PyPI). Selenium gets both paths, so it downloads nothing.
"""

import html.parser
import json
import re

import golden
import pytest
import report as build_side
from support.browser import chromium, set_width
from support.builds import needs_package
from support.schema import valid
from test_report import full_answers, hostile

import replace
from replace._cli import html as page_maker

needs_package("selenium")
By = pytest.importorskip("selenium.webdriver.common.by").By
Keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
PROBE = "libreplace_have_linux_thread_credentials"


@pytest.fixture(scope="module")
def browser():
    with chromium({"goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}) as started:
        yield started


@pytest.fixture(scope="module")
def show(browser, tmp_path_factory):
    """show(document, width, scheme) returns the browser with the page of that report."""
    path = tmp_path_factory.mktemp("page") / "report.html"

    def load(document=None, width=1280, scheme="light"):
        path.write_text("\n".join(page_maker.as_html(document or replace.report())))
        set_width(browser, width)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": features})
        for log in ("browser", "performance"):
            browser.get_log(log)  # drops earlier entries
        browser.get(path.as_uri())
        return browser

    return load


def requests(browser):
    """Return the URLs that the page requested, without the page itself and its data: URLs."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert any(url.startswith("file:") and url.endswith("/report.html") for url in urls), "the page is in the log"
    return [url for url in urls if not url.startswith("data:") and not url.endswith("/report.html")]


def platforms():
    return [p.name for p in golden.platforms()]


def of_platform(name, **options):
    answers = full_answers(golden.GOLDEN / name)
    return valid(build_side.build({**answers, **{f"option:{k}": v for k, v in options.items()}}, False))


def overflowing(browser):
    """Return the elements whose contents are wider than they are, but not those that a reader can scroll.

    The arrows of the decision lie outside their card on purpose.
    """
    return browser.execute_script(
        "return [...document.querySelectorAll('body *')].filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth"
        " && !['auto', 'scroll'].includes(getComputedStyle(e).overflowX) && !e.closest('.hidden')"
        " && !e.matches('.step, .card, .on')"
        " && getComputedStyle(e).display !== 'inline').map(e => e.tagName + '.' + e.className)"
    )


@pytest.mark.parametrize("platform", platforms())
def test_calls_fit_a_phone(show, platform):
    browser = show(of_platform(platform), 400)
    (box,) = browser.find_elements(By.CSS_SELECTOR, ".scroll")
    assert int(box.get_property("scrollWidth")) <= int(box.get_property("clientWidth"))
    assert len(box.find_elements(By.CSS_SELECTOR, "tbody tr")) == 17


@pytest.mark.parametrize("width", [320, 400, 1280])
def test_long_texts_do_not_widen_the_page(show, width):
    """Words without a place to break, several lines of evidence, and source lines of any length."""
    document = of_platform("linux-glibc-x86_64")
    word = "/a/" + "x" * 300
    document["version"] = document["verdict"]["rule"] = document["machine"]["system"] = word
    document["verdict"]["warnings"] = document["overrides"]["used"] = [word]
    document["toolchain"].update({"c_args": f"-O2 -I{word}", word: "-g"})
    document["verdict"]["calls"][0]["name"] = document["verdict"]["calls"][1]["symbol"] = word
    for step in document["decision"]:
        step.update(question=word, detail=word)
    for question in document["questions"]:
        long = f"cc -c {word}\nerror: {word}"
        question.update(evidence=long, command=long, subject=word, question=word, source=f"int {word};", answer=word)
    browser = show(document, width)
    browser.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert overflowing(browser) == []
    (inside,) = {tuple(e.text.splitlines()) for e in browser.find_elements(By.CSS_SELECTOR, ".inside pre.wrap")}
    assert inside == (f"cc -c {word}", f"error: {word}")


def test_probe_that_was_not_recorded_says_why(show):
    """The reader sees it without opening the question."""
    answers = {**full_answers(golden.GOLDEN / "linux-glibc-x86_64"), "environment:reproducible": "yes"}
    browser = show(valid(build_side.build(answers, True)), 400)
    summary = browser.find_element(By.ID, PROBE).find_element(By.XPATH, "../summary")
    assert "not recorded: left out, because SOURCE_DATE_EPOCH is set" in summary.text
    assert "left out: paths and host names, results of run probes" in browser.find_element(By.TAG_NAME, "footer").text
    cross = show(of_platform("linux-glibc-x86_64"), 400)
    assert "not run" in cross.find_element(By.ID, PROBE).find_element(By.XPATH, "../summary").text


def test_build_section_has_every_fact(show):
    document = replace.report()
    facts = show(document).find_element(By.CSS_SELECTOR, ".facts").text
    for section in ("options", "machine", "toolchain"):
        for key, value in document[section].items():
            assert f"{key}\n{value or 'none'}\n" in facts + "\n"


def test_page_is_ascii_so_that_any_locale_can_print_it(show):
    document = replace.report()
    document["verdict"]["rule"] = "\u2018quoted\u2019 \u00e4"
    assert "".join(page_maker.as_html(document)).isascii()
    assert "\u2018quoted\u2019 \u00e4" in show(document).find_element(By.CSS_SELECTOR, ".verdict").text


def test_question_opens_by_mouse_and_keyboard(show):
    """An open question shows the source of its probe, the command and the result. The page uses no script."""
    browser = show()
    question = next(q for q in replace.report()["questions"] if q["id"] == PROBE)
    inside = browser.find_element(By.ID, PROBE)
    summary = inside.find_element(By.XPATH, "../summary")
    assert summary.text.split("\n")[0] == question["question"]
    assert not inside.is_displayed()
    summary.click()
    assert inside.is_displayed()
    assert question["source"].strip().splitlines()[-2].strip() in inside.text
    for text in (question["command"], question["evidence"], question["cross_answer"], "syscall(NUMBER(setresuid)"):
        assert text in inside.text
    summary.click()
    assert not inside.is_displayed()
    browser.execute_script("arguments[0].focus()", summary)
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert inside.is_displayed()
    assert browser.get_log("browser") == []
    assert requests(browser) == []


def test_link_from_the_decision_opens_its_question(show):
    browser = show()
    target = browser.find_element(By.ID, "libreplace_have_syscall")
    assert not target.is_displayed()
    step = browser.find_element(By.XPATH, "//li[contains(., 'Does libc have syscall')]")
    step.find_element(By.TAG_NAME, "summary").click()
    step.find_element(By.CSS_SELECTOR, "a[href='#libreplace_have_syscall']").click()
    assert target.is_displayed()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 400, 800, 1280])
def test_page_fits_the_window_with_everything_open(show, width, scheme):
    """The page never scrolls sideways, and its texts have enough contrast (WCAG 2, AA)."""
    browser = show(of_platform("macos-aarch64"), width, scheme)
    for closed in (True, False):
        if not closed:
            browser.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true })")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    poor = browser.execute_script(CONTRAST)
    assert poor == []
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) < 300) == (scheme == "dark")
    assert browser.get_log("browser") == []


CONTRAST = """
const numbers = c => c.match(/[\\d.]+/g).map(Number);
const light = c => numbers(c).slice(0, 3).map(v => v / 255)
  .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
const ground = e => { for (; e; e = e.parentElement) {
  const c = getComputedStyle(e).backgroundColor; if (numbers(c)[3] !== 0) return c; } return 'rgb(255, 255, 255)'; };
const poor = new Set();
for (const e of document.querySelectorAll('body :not(.hidden)')) {
  if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
  const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
  if ((a + .05) / (b + .05) < 4.5) poor.add(e.tagName + '.' + e.className + ' ' + e.textContent.slice(0, 30));
}
return [...poor];
"""


@pytest.mark.parametrize("option", ["auto", "libc"])
@pytest.mark.parametrize("platform", platforms())
def test_decision_path_is_marked(show, platform, option):
    document = of_platform(platform, credentials=option)
    browser = show(document)
    marked_answers = [e.text for e in browser.find_elements(By.CSS_SELECTOR, ".way .took")]
    assert [text.split()[-1] for text in marked_answers] == [s["answer"] for s in document["decision"] if s["answer"]]
    (outcome,) = browser.find_elements(By.CSS_SELECTOR, ".way .outcome")
    assert document["verdict"]["backend"] in outcome.get_attribute("class").split()
    skipped = browser.find_elements(By.CSS_SELECTOR, ".way .skipped")
    assert len(skipped) == sum(not s["answer"] for s in document["decision"])


def test_markup_in_report_values_is_shown_as_text(show):
    """Names and outputs that contain markup are shown and have no effect."""
    document = hostile()
    browser = show(document)
    assert browser.execute_script("return document.scripts.length + document.querySelectorAll('b, img').length") == 0
    whole = browser.find_element(By.TAG_NAME, "body").get_attribute("textContent")
    for text in (document["version"], document["verdict"]["rule"], document["questions"][-1]["evidence"]):
        assert text in whole
    assert browser.get_log("browser") == []


class Outline(html.parser.HTMLParser):
    """The headings in order, the ids, the links, and every element that could load something."""

    def __init__(self, text):
        super().__init__()
        self.headings, self.ids, self.links, self.fetching, self.open = [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.headings += [int(tag[1])] if re.fullmatch("h[1-6]", tag) else []
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if tag == "a" else []
        sources = [f"{tag} {k}={v}" for k, v in attributes if k in ("src", "srcset", "data", "action") or k[:2] == "on"]
        self.fetching += sources + ([tag] if tag in ("script", "iframe", "object", "img", "form", "base") else [])
        if tag == "link":
            self.fetching += [] if given["href"] == "data:," else [given["href"]]
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, self.getpos()


@pytest.mark.parametrize("platform", platforms())
def test_page_is_well_formed_and_loads_nothing(platform):
    text = "\n".join(page_maker.as_html(of_platform(platform)))
    page = Outline(text)
    assert page.open == []
    assert page.fetching == []
    assert not re.search(r"url\(|@import|https?:", re.sub(r"<pre.*?</pre>", "", text, flags=re.S))
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(page.headings, page.headings[1:], strict=False))
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert '<html lang="en">' in text
    assert len(text.encode()) < 200_000


def test_printed_page_is_black_on_white(show):
    """This holds even under a dark colour scheme. Questions that are open on screen are printed, too."""
    browser = show(scheme="dark")
    browser.find_element(By.ID, PROBE).find_element(By.XPATH, "../summary").click()
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": dark})
    style = "return getComputedStyle(document.body)."
    assert browser.execute_script(style + "backgroundColor") == "rgb(255, 255, 255)"
    assert browser.execute_script(style + "color") == "rgb(0, 0, 0)"
    assert browser.find_element(By.ID, PROBE).is_displayed()
    assert not browser.find_element(By.TAG_NAME, "nav").is_displayed()
    assert len(browser.print_page()) > 10_000
