"""A figure as SVG within a page: its own identifiers, colours that follow light and dark, and where its points lie."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox, BboxBase

from landscape.figures.section import Section, Spots
from landscape.figures.style import BANDS, DARK

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML file may hold, and that a label may."""
GREYS = {0.32: "ink", 0.68: "quiet", 0.9: "grid"}
"""Up to which lightness a grey of text, axes and grids takes which colour of the page; colours of data stay."""
THEME = {BANDS[0]: "band-1", BANDS[1]: "band-2"}
"""Other colours of the page."""
POINTS = 72
MARGIN = 4.0
"""Points of space around a panel."""
NEAR = 30.0
"""Points from which a spot is near."""
PLACES = 2
"""Decimals of positions in points."""


@dataclass(frozen=True)
class Panel:
    """Axes with their scale of colours and all labels.

    Attributes:
        box: ``x, y, width, height`` in the coordinates of the figure.
        groups: Identifiers of the groups of SVG that it is made of.
        inner: ``x, y, width, height`` of the area of the data.
        reach: How far from a spot the pointer may be, in points along each axis.
        cells: Whether spots are cells, which reach so far.
        spots: ``x, y, text``, and name of the detail and number of its curve, if it has one.
    """

    box: tuple[float, ...]
    groups: tuple[str, ...]
    inner: tuple[float, ...]
    reach: tuple[float, float]
    cells: bool
    spots: tuple[tuple[float | str | int, ...], ...]


@dataclass(frozen=True)
class Drawing:
    """A figure as SVG.

    Attributes:
        markup: The svg element.
        size: Width and height, in points.
        panels: Its panels.
    """

    markup: str
    size: tuple[float, float]
    panels: tuple[Panel, ...]


def drawing(section: Section) -> Drawing:
    """The figure of a section; its identifiers begin with the name of the section.

    The caption is left out, since a page writes it as text.

    Args:
        section: The section; its figure is changed.
    """
    figure = section.figure
    if section.note:
        figure.supxlabel("")
    for number, ax in enumerate(figure.axes):
        ax.set_gid(f"axes-{number}")
    for patch in (figure.patch, *(ax.patch for ax in figure.axes)):
        patch.set(facecolor="none", edgecolor="none")
    stream = io.StringIO()
    with warnings.catch_warnings():  # a browser has letters that the fonts of matplotlib lack
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        # once, where savefig draws twice
        FigureCanvasSVG(figure).print_svg(stream, metadata={"Date": None})  # type: ignore[no-untyped-call]
    root = ElementTree.fromstring(NO_XML.sub("\ufffd", stream.getvalue()))  # noqa: S314 what matplotlib has written
    _own(root, f"{section.name}-")
    root.attrib |= {"role": "img", "aria-label": f"{section.title}. {section.note}", "id": section.name}
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    width, height = (float(side) * POINTS for side in figure.get_size_inches())
    panels = tuple(_panels(figure, section.spots, section.name))
    return Drawing(_markup(root), (round(width, 1), round(height, 1)), panels)


def _own(root: ElementTree.Element, prefix: str) -> None:
    """Make identifiers those of this figure alone, and neutral colours those of the page; remove what is not drawn."""
    for parent in list(root.iter()):
        for inner in list(parent):
            if inner.tag in {f"{{{SVG}}}metadata", f"{{{SVG}}}style"}:
                parent.remove(inner)
    for element in root.iter():
        for name, value in list(element.attrib.items()):
            if name == "id":
                element.set(name, prefix + value)
            elif name.endswith("href") and value.startswith("#"):
                del element.attrib[name]
                element.set("href", f"#{prefix}{value[1:]}")
            elif name == "style":
                element.set(name, re.sub(r"#[0-9a-f]{6}\b", lambda found: _themed(found[0]), value))
            if "url(#" in value:
                element.set(name, value.replace("url(#", f"url(#{prefix}"))


def _themed(value: str) -> str:
    """A colour, as that of the page if it is neutral."""
    grey = len({value[1:3], value[3:5], value[5:7]}) == 1 and value != DARK
    light = int(value[1:3], 16) / 255
    name = next((name for most, name in GREYS.items() if light <= most), None) if grey else THEME.get(value)
    return f"var(--{name}, {value})" if name else value


def _markup(root: ElementTree.Element) -> str:
    """The element as HTML has it: without prefixes of namespaces."""
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        for name in [name for name in element.attrib if name.startswith("{")]:
            element.set(name.rpartition("}")[2], element.attrib.pop(name))
    root.set("xmlns", SVG)
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=False)


def _panels(figure: Figure, spots: Sequence[Spots], name: str) -> list[Panel]:
    """The panels in their order; a scale of colours belongs to the axes that it takes its room from."""
    renderer: RendererAgg = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    high, dots = figure.bbox.height, POINTS / figure.dpi
    scales = _scales(figure)
    out = []
    for number, ax in enumerate(figure.axes):
        if ax in scales:
            continue
        own = [(number, ax), *((figure.axes.index(bar), bar) for bar, owners in scales.items() if owners == [ax])]
        boxes = [tight for _, part in own if (tight := part.get_tightbbox(renderer)) is not None]
        box, inner = (_box(b, high, dots) for b in (Bbox.union(boxes), ax.get_window_extent(renderer)))
        whole = (box[0] - MARGIN, box[1] - MARGIN, box[2] + 2 * MARGIN, box[3] + 2 * MARGIN)
        here = next((one for one in spots if one.ax is ax), Spots(ax, (), (), ()))
        groups = tuple(f"{name}-axes-{n}" for n, _ in own)
        out.append(
            Panel(
                _rounded(whole),
                groups,
                _rounded(inner),
                _reach(here, inner, dots),
                here.reach == "cell",
                _placed(here, high, dots),
            )
        )
    for bar in [bar for bar, owners in scales.items() if len(owners) > 1]:
        place = _rounded(_box(bar.get_tightbbox(renderer) or Bbox.null(), high, dots))
        out.append(Panel(place, (f"{name}-axes-{figure.axes.index(bar)}",), place, (0.0, 0.0), False, ()))
    return out


def _reach(spots: Spots, inner: Sequence[float], dots: float) -> tuple[float, float]:
    """How far from a spot the pointer may be along each axis, in points."""
    match spots.reach:
        case "cell":
            one, other = spots.ax.transData.transform([(0.0, 0.0), (0.5, 0.5)])
            return tuple(float(side) for side in np.abs(other - one) * dots)  # type: ignore[return-value]
        case "panel":
            return inner[2], inner[3]
        case _:
            return NEAR, NEAR


def _scales(figure: Figure) -> dict[Axes, list[Axes]]:
    """The axes that are scales of colours, with those whose room they share."""
    every = [drawn.colorbar for ax in figure.axes for drawn in (*ax.collections, *ax.images)]
    return {bar.ax: list(getattr(bar.ax, "_colorbar_info", {}).get("parents", [])) for bar in every if bar is not None}


def _placed(spots: Spots, high: float, dots: float) -> tuple[tuple[float | str | int, ...], ...]:
    """The spots in the coordinates of the SVG, without those that are not finite."""
    at = spots.ax.transData.transform(np.column_stack([spots.x, spots.y])) if len(spots.x) else np.empty((0, 2))
    x, y = at[:, 0] * dots, (high - at[:, 1]) * dots
    details = spots.detail or [("", 0)] * len(spots.text)
    return tuple(
        (round(float(h), PLACES), round(float(v), PLACES), text, *((name, line) if name else ()))
        for h, v, text, (name, line) in zip(x, y, spots.text, details, strict=True)
        if np.isfinite(h) and np.isfinite(v)
    )


def _box(box: BboxBase, high: float, dots: float) -> tuple[float, ...]:
    return (box.x0 * dots, (high - box.y1) * dots, box.width * dots, box.height * dots)


def _rounded(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(float(value), PLACES) for value in values)
