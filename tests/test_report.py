"""The page of a report: what labels may hold, what leaves the page, and what a reader does with it in a browser."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from browser import Browser, browser, program
from drawn import planted

from landscape.catalogue import FIGURES
from landscape.figures import page as page_module
from landscape.figures.frames import Frames
from landscape.figures.page import Missing, page
from landscape.figures.paper import files
from landscape.figures.tables import csv as csv_of
from landscape.figures.tables import tests as tables_of_tests
from landscape.profile.summary import barrier_over_training, mean_profiles

HOSTILE = "</script><img src=x onerror=hacked()>\u2028$\\frac\x01\"&'"
"""A label that would leave a script, an attribute, a text, mathematics and XML, if it could."""
RECORD = {
    "name": HOSTILE, "checkpoints": [1, 2], "parameters": 1234,
    "tasks": [{"kind": "losses"}] * 3 + [{"kind": "barriers"}] * 9,
    "versions": {"torch": "2", "transformers": "5", "landscape-toolkit": "0"}, "study": {"name": HOSTILE},
    "warnings": [HOSTILE],
}  # fmt: skip
SHOWN = ("stages", "matrix", "training", "loss")


def hostile_frames() -> Frames:
    """Planted frames whose seeds and series have hostile names, and a few tests."""
    made = planted()
    seeds = {n: f"{HOSTILE}{n}" for n in range(3)}
    barriers, profiles = (
        frame[frame["between"] == "seed"].assign(seed_a=frame["seed_a"].map(seeds), seed_b=frame["seed_b"].map(seeds))
        for frame in (made.barriers, made.profiles)
    )
    steps = [0.0, 4.0, 32.0]
    series = pd.DataFrame([
        {"series": f"loss{HOSTILE}", "seed": seed, "step": step, "value": 3.0 - step / 20 + n}
        for n, seed in enumerate(seeds.values()) for step in steps
    ])  # fmt: skip
    mean = pd.DataFrame({"series": f"loss{HOSTILE}", "step": steps, "value": [3.0, 2.5, 1.0]})
    event = {"series": f"loss{HOSTILE}", "event": "half_rise", "way": "fall", "censored": "no", "low": 4.0}
    test = {
        "connectivity": HOSTILE, "behaviour": "b", "hypothesis": "seed", "test": "onset", "low": None, "high": None,
        "q": 0.5, "p_family": 0.5, "p_floor": 0.1, "power": 0.5, "primary": False, "unreliable": False,
        "effect_without": None, "p_without": None,
    }  # fmt: skip
    return replace(
        made,
        barriers=barriers, profiles=profiles, losses=made.losses.assign(seed=made.losses["seed"].map(seeds)),
        training=barrier_over_training(barriers), curves=mean_profiles(profiles), branching=pd.DataFrame(),
        series=series, curve=mean.assign(low=mean["value"] - 0.1, high=mean["value"] + 0.1),
        event=pd.DataFrame([{**event, "seed": seed, "step": 5.0 + n, "high": 32.0}
                            for n, seed in enumerate(["all", *seeds.values()])]),
        boundaries=f"loss{HOSTILE}", sentences=(HOSTILE,), notes=(HOSTILE,),
        association=pd.DataFrame([
            {**test, "effect": 0.3, "p": 0.04, "verdict": "is shown"},
            {**test, "effect": -0.1, "p": 0.2, "verdict": "is not shown", "behaviour": "other"},
            {**test, "effect": 0.0, "p": 1.0, "verdict": "cannot be shown with 3 seeds"},
        ]),
    )  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of these frames."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seaborn.matrix._draw_figure", lambda figure: None)
        chosen = [FIGURES.load(name).section for name in SHOWN]
        patch.setattr(page_module, "sections", lambda given: [one for make in chosen if (one := make(given))])
        text = page(hostile_frames(), RECORD, [Missing("barriers", HOSTILE, HOSTILE), Missing("barriers", "b")])
    out = tmp_path_factory.mktemp("report") / "report.html"
    out.write_text(text, "utf-8")
    return out


class Elements(HTMLParser):
    """The elements of a page with their attributes, and the texts of scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.scripts += [""] * (tag == "script")

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] == "script" and self.get_starttag_text() is not None:
            self.scripts[-1] += data


def read(file: Path) -> Elements:
    elements = Elements()
    elements.feed(file.read_text("utf-8"))
    return elements


# ---- what is in the file ---------------------------------------------------------------------------------------------


def test_no_label_becomes_an_element_an_attribute_or_a_script(file: Path) -> None:
    elements = read(file)
    tags = [tag for tag, _ in elements.found]
    assert not {"img", "iframe", "object", "embed", "link", "base", "form"} & set(tags) and tags.count("script") == 2
    assert [name for _, given in elements.found for name in given if name.startswith("on")] == []
    links = [value for _, given in elements.found for name, value in given.items() if name in {"href", "src"}]
    assert links and all((link or "").startswith(("#", "data:image/png;base64,")) for link in links)
    text = file.read_text("utf-8")
    assert "hacked()&gt;" in text and "<img" not in text and "\x01" not in text
    block = text.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    assert "\u2028" not in block and "<" not in block and block.isascii()
    cells = json.loads(block)["barrier_matrices"]["panels"][0]["spots"]
    assert [spot[2] for spot in cells][0].startswith(f"run {HOSTILE}0 and run {HOSTILE}1, step 0: 0.020 [")


def test_the_policy_allows_the_one_script_and_no_request(file: Path) -> None:
    elements = read(file)
    (policy,) = [given["content"] for _, given in elements.found if given.get("http-equiv")]
    rules = dict(rule.split(" ", 1) for rule in str(policy).split("; "))
    script = file.read_text("utf-8").rsplit("<script>", 1)[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert rules.pop("script-src") == f"'sha256-{digest}'"
    assert rules == {
        "default-src": "'none'", "style-src": "'unsafe-inline'", "img-src": "data: blob:", "base-uri": "'none'",
        "form-action": "'none'",
    }  # fmt: skip


def test_the_answer_comes_first_and_is_short(file: Path) -> None:
    body = file.read_text("utf-8").split("<main>")[1]
    answer = body.split('<section id="answer">')[1].split("</section>")[0]
    assert 1 <= answer.split("</ul>")[0].count("<li>") <= 6 and answer.count("<figure") == 1
    assert "Mean barrier over training" in answer and body.count("<h2>Mean barrier over training</h2>") == 1
    assert '<a href="#section-barrier_matrices">Barrier matrices</a>' in file.read_text("utf-8")


def test_identifiers_are_unique(file: Path) -> None:
    names = [given["id"] for _, given in read(file).found if "id" in given]
    assert len(names) == len(set(names))


def test_rows_of_a_figure_are_in_the_page(file: Path) -> None:
    """As CSV which a spreadsheet takes for no formula."""
    data = json.loads(file.read_text("utf-8").split('id="data">')[1].split("</script>")[0])
    text = gzip.decompress(base64.b64decode(data["loss_over_training"]["files"]["loss_over_training.csv"])).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["seed"] for row in rows[::3]] == [f"{HOSTILE}{n}" for n in range(3)] and len(rows) == 9
    assert [float(row["loss"]) for row in rows[:3]] == pytest.approx([3.0, 2.96, 2.68])
    assert csv_of(pd.DataFrame({"a": ["=1+1", "b"], "c": [-1, 2]})) == "a,c\n'=1+1,-1\nb,2\n"


def test_tests_without_power_stand_apart() -> None:
    shown, powerless = tables_of_tests(hostile_frames().association)
    assert [row[4] for row in shown.rows] == ["0.04", "0.2"] and shown.title.startswith(
        "2 tests of the seed hypothesis"
    )
    assert powerless.title.startswith("1 test of the") and powerless.title.endswith("cannot be shown with 3 seeds")


def test_figures_for_a_paper_have_its_width_and_embedded_fonts() -> None:
    made = replace(planted(), barriers=pd.DataFrame(), branching=pd.DataFrame(), curves=pd.DataFrame(),
                   training=pd.DataFrame())  # fmt: skip
    found = dict(files(made, "pdf"))
    assert list(found) == [f"loss_over_training.{kind}" for kind in ("pdf", "txt", "py", "csv")]
    drawn = found["loss_over_training.pdf"]
    (box,) = re.findall(rb"/MediaBox \[ 0 0 (\S+) (\S+) \]", drawn)
    assert float(box[0]) == pytest.approx(3.25 * 72) and b"/Type3" not in drawn and b"/CIDFontType2" in drawn
    assert b"objective: causal-lm" in found["loss_over_training.txt"]
    assert len(pd.read_csv(io.BytesIO(found["loss_over_training.csv"]))) == 9


# ---- what a reader does ----------------------------------------------------------------------------------------------

in_browser = pytest.mark.skipif(program() is None, reason="needs Chromium or Chrome, which is not on the PATH")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as made:
        yield made


@pytest.fixture
def shown(chromium: Browser, file: Path) -> Iterator[Browser]:
    """The page as it is first seen; afterwards nothing may have been said or fetched."""
    chromium.said.clear()
    chromium.wanted.clear()
    chromium.open(file)
    yield chromium
    assert chromium.js("typeof hacked === 'undefined' && document.images.length") == 0
    assert chromium.said == []
    assert {address.split(":")[0] for address in chromium.wanted} <= {"file", "data", "blob"}
    assert sum(address.startswith("file:") for address in chromium.wanted) == 1


def spot(page: Browser, figure: str, number: int, within: str = ".whole") -> tuple[float, float]:
    """Where a spot of a figure is in the window, scrolled to."""
    page.js(f"document.querySelector('[data-figure={figure}] {within} svg').scrollIntoView({{block: 'center'}})")
    at = page.js(
        f"""(() => {{ const drawn = document.querySelector('[data-figure={figure}] {within} svg');
        const all = JSON.parse(document.getElementById('data').textContent)['{figure}'].panels.flatMap((p) => p.spots);
        const at = new DOMPoint(all[{number}][0], all[{number}][1]).matrixTransform(drawn.getScreenCTM());
        return [at.x, at.y]; }})()"""
    )
    return at[0], at[1]


def said(page: Browser, figure: str) -> str:
    return str(page.js(f"document.querySelector('[data-figure={figure}] .said').textContent"))


@in_browser
def test_a_cell_shows_its_pair_with_the_curve_and_its_band(shown: Browser) -> None:
    shown.mouse(*spot(shown, "barrier_matrices", 7))
    assert said(shown, "barrier_matrices") == f"run {HOSTILE}0 and run {HOSTILE}2, step 32: 0.500 [0.460, 0.560]"
    detail = "document.querySelector('[data-figure=barrier_matrices] .detail')"
    assert shown.js(f"{detail}.hidden") is False
    assert shown.js(f"{detail}.querySelectorAll('polyline').length") == 3  # a curve for each step
    assert shown.js(f"{detail}.querySelectorAll('polygon').length") == 1  # the band of this step
    assert shown.js(f"{detail}.querySelector('label').textContent") == "stepstep 32"
    shown.js(f"{detail}.querySelector('input').value = 0")
    shown.js(f"{detail}.querySelector('input').dispatchEvent(new Event('input'))")
    assert shown.js(f"{detail}.querySelector('label').textContent") == "stepstep 0"
    x, y = spot(shown, "barrier_matrices", 8)
    shown.mouse(x, spot(shown, "barrier_matrices", 6)[1])
    assert said(shown, "barrier_matrices") == ""  # above the diagonal there is no pair
    shown.mouse(x, y)
    assert said(shown, "barrier_matrices").startswith(f"run {HOSTILE}1 and run {HOSTILE}2, step 32")
    shown.mouse(x, y, click=True)
    shown.mouse(*spot(shown, "barrier_matrices", 0))
    assert "step 32" in said(shown, "barrier_matrices")  # it was kept by the click


@in_browser
def test_a_series_shows_its_seeds_and_dates(shown: Browser) -> None:
    shown.mouse(*spot(shown, "stages", 1), click=True)
    detail = "document.querySelector('[data-figure=stages] .detail')"
    assert shown.js(f"{detail}.querySelector('h3').textContent") == f"loss{HOSTILE}"
    assert shown.js(f"{detail}.querySelectorAll('polyline').length") == 3 + 1
    rows = shown.js(f"[...{detail}.querySelectorAll('tbody tr')].map((r) => [...r.cells].map((c) => c.textContent))")
    assert rows[0] == ["all", "half-rise", "fall", "5.0", "4 to 32"] and rows[3][0] == f"{HOSTILE}2"


@in_browser
def test_tables_are_folded_sorted_and_filtered(shown: Browser) -> None:
    table = "[...document.querySelectorAll('details.table')].find((t) => t.textContent.includes('2 tests of'))"
    assert shown.js("document.querySelectorAll('details.table[open]').length") == 0
    order = f"[...{table}.querySelectorAll('tbody tr')].filter((r) => !r.hidden).map((r) => r.cells[4].textContent)"
    assert shown.js(order) == ["0.04", "0.2"]
    shown.js(f"{table}.querySelectorAll('th button')[2].click()")
    assert shown.js(order) == ["0.2", "0.04"]  # effects -0.1 and +0.3
    shown.js(f"{table}.querySelectorAll('th button')[2].click()")
    assert shown.js(order) == ["0.04", "0.2"]
    shown.js(f"Object.assign({table}.querySelector('input'), {{value: 'OTHER'}}).dispatchEvent(new Event('input'))")
    assert shown.js(order) == ["0.2"]


@in_browser
def test_figures_and_rows_are_saved(shown: Browser) -> None:
    """A click on the link makes a file of the browser, whose content is read here."""
    shown.js(
        """(() => { window.made = []; const old = URL.createObjectURL;
        URL.createObjectURL = (blob) => { made.push(blob); return old(blob); };
        HTMLAnchorElement.prototype.click = function () { made.push(this.download); }; })()"""
    )
    figure = "document.querySelector('[data-figure=loss_over_training]')"
    for kind, last in (("svg", "loss_over_training.svg"), ("png", "loss_over_training.png"),
                       ("loss_over_training.csv", "loss_over_training.csv")):  # fmt: skip
        shown.js(f"made.length = 0; {figure}.querySelector('[data-save=\"{kind}\"]').dispatchEvent("
                 "new MouseEvent('click', {bubbles: true, cancelable: true}))")  # fmt: skip
        shown.until(f"made.at(-1) === '{last}'")
        text = shown.js("made.at(-2).slice(0, 9e9, '').text()")
        if kind == "svg":
            assert "var(--" not in text and "objective: causal-lm" in text and text.startswith("<svg")
        elif kind == "png":
            assert text[1:4] == "PNG" and shown.js("made.at(-2).size") > 10_000
        else:
            assert text.startswith("seed,step,")


@in_browser
@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_scrolls_down_only(shown: Browser, dark: bool) -> None:
    shown.size(390, 800, dark=dark)
    shown.js("document.querySelectorAll('details').forEach((folded) => { folded.open = true; })")
    assert shown.js("document.documentElement.scrollWidth") <= 390
    colour = "getComputedStyle(document.body).backgroundColor"
    assert (shown.js(colour) == "rgb(255, 255, 255)") is not dark
    widths = shown.js("[...document.querySelectorAll('.stack svg')].map((s) => s.getBoundingClientRect().width)")
    assert len(widths) == 3 + 1 and max(widths) <= 390  # the matrices and their scale
    shown.mouse(*spot(shown, "barrier_matrices", 1, ".stack"), click=True)
    assert "step 0: 0.050" in said(shown, "barrier_matrices")


@in_browser
def test_the_first_figure_is_seen_within_a_second(shown: Browser) -> None:
    painted = shown.js("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? performance.now()")
    assert painted < 1000 and shown.js("document.querySelector('#answer svg').getBoundingClientRect().height") > 100


@in_browser
def test_without_scripts_everything_is_read(chromium: Browser, file: Path) -> None:
    chromium.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        chromium.open(file)
        tree = chromium.call("DOM.getDocument", depth=1)
        html = chromium.call("DOM.getOuterHTML", nodeId=tree["root"]["nodeId"])["outerHTML"]
        assert html.count("<svg") >= 4 and 'class="scripts"' not in html and "<noscript>" in html
    finally:
        chromium.call("Emulation.setScriptExecutionDisabled", value=False)
