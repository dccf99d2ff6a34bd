// What a report does beyond being read: it says what the pointer is over, shows the chart that belongs to it, sorts and
// filters tables, and saves figures. What belongs to what is data, which Python writes; texts are set as texts only.
"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a6d3b"];
  const data = JSON.parse(document.getElementById("data").textContent);
  document.documentElement.classList.add("scripts");

  const svg = (name, attributes, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const html = (name, properties, ...inner) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...inner);
    return made;
  };

  // ---- charts -------------------------------------------------------------------------------------------------------
  const ticksOf = (low, high) => {
    const raw = (high - low || 1) / 4, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].find((n) => n * power >= raw) * power, out = [];
    for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-6; at += step) out.push(+at.toPrecision(6));
    return out;
  };
  const points = (x, y) => x.map((at, n) => (y[n] === null ? null : `${at},${y[n]}`)).filter(Boolean).join(" ");

  function chart(detail, chosen) {
    const [wide, high, left, right, top, bottom] = [460, 230, 52, 12, 10, 40];
    const finite = (name) => detail.lines.flatMap((line) => line[name]).filter((value) => value !== null);
    const xs = finite("x"), ys = ["y", "low", "high"].flatMap(finite);
    const range = (values) => [Math.min(...values), Math.max(...values)];
    const [x0, x1] = range(xs), [y0, y1] = range(ys);
    const x = (v) => (v === null ? null : left + ((v - x0) / (x1 - x0 || 1)) * (wide - left - right));
    const y = (v) => (v === null ? null : high - bottom - ((v - y0) / (y1 - y0 || 1)) * (high - top - bottom));
    const made = svg("svg", { viewBox: `0 0 ${wide} ${high}`, class: "chart", role: "img", "aria-label": detail.title });
    for (const at of ticksOf(y0, y1)) {
      made.append(svg("line", { x1: left, x2: wide - right, y1: y(at), y2: y(at), class: "tick" }));
      made.append(svg("text", { x: left - 5, y: y(at) + 4, "text-anchor": "end" }, String(at)));
    }
    for (const [at, label] of detail.ticks.length ? detail.ticks : ticksOf(x0, x1).map((v) => [v, String(v)]))
      made.append(svg("text", { x: x(at), y: high - bottom + 15, "text-anchor": "middle" }, label));
    made.append(svg("path", { class: "axis", d: `M${left},${top}V${high - bottom}H${wide - right}` }));
    made.append(svg("text", { x: (left + wide) / 2, y: high - 6, "text-anchor": "middle" }, detail.xlabel));
    detail.lines.forEach((line, n) => {
      const strong = detail.slider ? n === chosen : line.low.length > 0 || line.name === "mean";
      const colour = detail.slider ? (strong ? "var(--accent)" : "var(--grid)") : strong ? "var(--ink)" : COLOURS[n % COLOURS.length];
      const across = line.x.map(x);
      if (strong && line.low.length) {
        const back = points([...across].reverse(), [...line.high].reverse().map(y));
        made.append(svg("polygon", { points: `${points(across, line.low.map(y))} ${back}`, fill: colour, opacity: 0.2 }));
      }
      const drawn = svg("polyline", { points: points(across, line.y.map(y)), fill: "none", stroke: colour, "stroke-width": strong ? 2 : 1.2 });
      drawn.append(svg("title", {}, line.name));
      if (strong) made.append(drawn);
      else made.querySelector(".axis").before(drawn);
    });
    return made;
  }

  function legend(detail) {
    const out = html("div", { className: "quiet" }, `${detail.ylabel}. `);
    if (detail.slider) return out;
    detail.lines.forEach((line, n) => {
      const name = html("span", {}, `${line.name}  `);
      name.style.color = line.name === "mean" ? "var(--ink)" : COLOURS[n % COLOURS.length];
      out.append(name);
    });
    return out;
  }

  function table(detail) {
    const head = html("tr", {}, ...detail.columns.map((name) => html("th", {}, name)));
    const rows = detail.rows.map((row) => html("tr", {}, ...row.map((cell) => html("td", {}, cell))));
    return html("div", { className: "wide" }, html("table", {}, html("thead", {}, head), html("tbody", {}, ...rows)));
  }

  function show(box, detail, chosen) {
    const place = html("div", {}, chart(detail, chosen));
    box.replaceChildren(html("h3", {}, detail.title), place, legend(detail));
    if (detail.slider && detail.lines.length > 1) {
      const name = html("span", {}, detail.lines[chosen].name);
      const slider = html("input", { type: "range", min: 0, max: detail.lines.length - 1, value: chosen });
      slider.addEventListener("input", () => {
        place.replaceChildren(chart(detail, +slider.value));
        name.textContent = detail.lines[+slider.value].name;
      });
      box.append(html("label", {}, detail.slider, slider, name));
    } else if (detail.slider) box.append(detail.lines[chosen].name);
    if (detail.rows.length) box.append(table(detail));
    box.hidden = false;
  }

  // ---- figures ------------------------------------------------------------------------------------------------------
  function nearest(panels, at) {
    const within = ([x, y, w, h]) => at.x >= x - 12 && at.x <= x + w + 12 && at.y >= y - 12 && at.y <= y + h + 12;
    let best = null, least = Infinity;
    for (const panel of panels.filter((one) => within(one.inner)))
      for (const spot of panel.spots) {
        const [across, down] = [Math.abs(spot[0] - at.x), Math.abs(spot[1] - at.y)];
        const far = across * across + down * down;
        if (across <= panel.reach[0] && down <= panel.reach[1] && far < least) [best, least] = [spot, far];
      }
    return best;
  }

  function explore(figure) {
    const { panels, details } = data[figure.dataset.figure];
    const said = figure.querySelector(".said"), box = figure.querySelector(".detail");
    const spots = panels.flatMap((panel) => panel.spots);
    if (!spots.length) return said.parentNode.remove();
    let kept = false, current = null;
    const tell = (spot) => {
      if (spot === current) return;
      current = spot;
      for (const old of figure.querySelectorAll(".mark")) old.remove();
      said.textContent = spot ? spot[2] : "";
      if (!spot) return;
      const { cells, reach } = panels.find((panel) => panel.spots.includes(spot));
      for (const drawn of figure.querySelectorAll(".whole > svg, .stack > svg"))
        drawn.append(
          cells
            ? svg("rect", { class: "mark", x: spot[0] - reach[0], y: spot[1] - reach[1], width: 2 * reach[0], height: 2 * reach[1] })
            : svg("circle", { class: "mark", cx: spot[0], cy: spot[1], r: 6 }),
        );
      if (details[spot[3]]) show(box, details[spot[3]], spot[4]);
    };
    const under = (event) => {
      const drawn = event.target.closest(".whole > svg, .stack > svg");
      return drawn && nearest(panels, new DOMPoint(event.clientX, event.clientY).matrixTransform(drawn.getScreenCTM().inverse()));
    };
    figure.addEventListener("pointermove", (event) => {
      if (!kept && event.target.closest(".whole, .stack")) tell(under(event));
    });
    figure.addEventListener("click", (event) => {
      if (!event.target.closest(".whole, .stack")) return;
      const spot = under(event);
      kept = Boolean(spot) && !(kept && spot === current);
      tell(spot);
    });
    figure.tabIndex = 0;
    figure.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by || event.target !== figure) return;
      event.preventDefault();
      tell(spots[(spots.indexOf(current) + by + spots.length) % spots.length]);
    });
  }

  // ---- files --------------------------------------------------------------------------------------------------------
  function standalone(figure) {
    const { size, caption } = data[figure.dataset.figure];
    const copy = figure.querySelector(".whole > svg").cloneNode(true);
    for (const mark of copy.querySelectorAll(".mark")) mark.remove();
    const words = caption.split("; ").map((line, n) => svg("text", { x: 6, y: size[1] + 14 + 12 * n, style: "font: 9px sans-serif; fill: #595959" }, line));
    const high = size[1] + 12 * words.length + 8;
    copy.prepend(svg("rect", { width: size[0], height: high, fill: "white" }));
    copy.append(...words);
    for (const [name, value] of Object.entries({ width: size[0], height: high, viewBox: `0 0 ${size[0]} ${high}` })) copy.setAttribute(name, value);
    const plain = (text) => text.replace(/var\(--[\w-]+, (#[0-9a-f]{6})\)/g, "$1");
    return new Blob([plain(new XMLSerializer().serializeToString(copy))], { type: "image/svg+xml" });
  }

  async function png(figure) {
    const address = URL.createObjectURL(standalone(figure)), image = new Image();
    image.src = address;
    await image.decode();
    const canvas = html("canvas", { width: image.width * 3, height: image.height * 3 });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    URL.revokeObjectURL(address);
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  }

  function unpacked(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).blob();
  }

  async function save(link) {
    const figure = link.closest("figure"), kind = link.dataset.save, name = figure.dataset.figure;
    const image = { svg: standalone, png }[kind];
    const blob = await (image ? image(figure) : unpacked(data[name].files[kind]));
    const address = URL.createObjectURL(blob);
    html("a", { href: address, download: image ? `${name}.${kind}` : kind }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  }

  // ---- tables -------------------------------------------------------------------------------------------------------
  function sortable(folded) {
    const body = folded.querySelector("tbody"), rows = [...body.rows], heads = [...folded.querySelectorAll("th")];
    const value = (row, n) => row.cells[n].textContent;
    const number = (text) => (/^[+-]?[\d.,]+(e[+-]?\d+)?/i.test(text) ? parseFloat(text.replaceAll(",", "")) : NaN);
    const compare = (a, b) => {
      const [x, y] = [number(a), number(b)];
      if (!a || !b) return !a - !b;
      return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
    };
    heads.forEach((head, n) => {
      const button = html("button", { type: "button" }, head.textContent);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        body.append(...rows.toSorted((a, b) => compare(value(a, n), value(b, n)) * (down ? -1 : 1)));
      });
      head.replaceChildren(button);
    });
    const count = html("span", { className: "quiet" });
    const filter = html("input", { type: "search", placeholder: "Filter rows", ariaLabel: "Filter rows" });
    filter.addEventListener("input", () => {
      const words = filter.value.toLowerCase().split(/\s+/);
      for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
      count.textContent = ` ${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
    });
    folded.querySelector("summary").after(filter, count);
  }

  if (matchMedia("(max-width: 40rem)").matches) document.querySelector("nav details").open = false;
  document.querySelectorAll("figure.plot").forEach(explore);
  document.querySelectorAll("details.table").forEach(sortable);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-save]");
    if (!link) return;
    event.preventDefault();
    save(link);
  });
})();
