"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const report = JSON.parse(find("report-data").textContent);
  const words = report.words;
  const page = document.documentElement;
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (page.dataset.theme || (systemDark.matches ? "dark" : "light")) === "dark";
  const colorOf = (index) => report.colors[index % report.colors.length][isDark() ? 1 : 0];
  const dashOf = (index) => ["solid", "dash", "dot", "dashdot", "longdash"][Math.floor(index / report.colors.length) % 5];
  const style = (name) => getComputedStyle(page).getPropertyValue(name).trim();
  // Plotly reads some tags and entities in texts; names must stay what they are.
  const safe = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const short = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);
  const percent = report.quality.share;
  const written = (how) => (value) => (how.share ? (100 * value).toFixed(how.decimals) + "%" : value.toFixed(how.decimals));
  const shown = written(report.quality), learned = written(report.learning);
  const fade = (color, alpha) => color + Math.round(alpha * 255).toString(16).padStart(2, "0");
  const make = (tag, text, className) => {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (className) node.className = className;
    return node;
  };
  const options = { displaylogo: false, responsive: false, displayModeBar: false, scrollZoom: false };

  function layout(extra) {
    const ink = style("--ink"), soft = style("--soft"), line = style("--line");
    const axis = { gridcolor: line, zeroline: false, linecolor: line, tickfont: { color: soft }, title: { font: { color: soft, size: 13 } }, fixedrange: true };
    const base = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: ink },
      hoverlabel: { bgcolor: style("--card"), bordercolor: line, font: { color: ink, size: 13 }, align: "left", namelength: -1 },
      margin: { l: 66, r: 14, t: 12, b: 50 },
    };
    return { ...base, ...extra, xaxis: { ...axis, ...extra.xaxis, title: { ...axis.title, ...extra.xaxis.title } }, yaxis: { ...axis, ...extra.yaxis, title: { ...axis.title, standoff: 12, ...extra.yaxis.title } } };
  }
  const quality = (extra) => ({ tickformat: percent ? ".0%" : "", nticks: 7, ...extra });
  function spread(values, share) {
    const low = Math.min(...values), high = Math.max(...values), room = (high - low || Math.abs(low) || 1) * share;
    return [low - room, high + room];
  }

  // Quality against one cost.
  function drawCost(id, data, title) {
    const node = find(id), points = data.points;
    if (!points.length) return;
    const front = data.front.map((k) => points[k]), best = new Set(data.front);
    const xs = points.map((p) => Math.log10(p.x));
    const logs = spread(xs, 0.08), ys = spread(points.flatMap((p) => [p.y]), 0.16);
    ys[0] = Math.max(ys[0], Math.min(...points.map((p) => p.low)));
    const ceiling = Math.max(...points.map((p) => p.high));
    ys[1] = percent ? Math.min(Math.max(ys[1], ceiling), 1.004) : Math.max(ys[1], ceiling);
    const hover = (p) => `<b>${safe(p.name)}</b><br>${shown(p.y)} (${shown(p.low)}–${shown(p.high)})<br>${safe(title)}: ${safe(p.label)}`;
    const traces = [
      { x: points.map((p) => p.x), y: points.map((p) => p.y), mode: "markers", hoverinfo: "skip", marker: { size: 1, opacity: 0 },
        error_y: { type: "data", symmetric: false, array: points.map((p) => p.high - p.y), arrayminus: points.map((p) => p.y - p.low), color: style("--grey-line"), thickness: 1.2, width: 0 } },
      { x: front.map((p) => p.x), y: front.map((p) => p.y), mode: "lines", hoverinfo: "skip", line: { shape: "hv", color: style("--faint"), width: 1.4, dash: "dot" } },
      { x: points.map((p) => p.x), y: points.map((p) => p.y), mode: "markers", text: points.map(hover), hovertemplate: "%{text}<extra></extra>",
        marker: { size: points.map((p) => (p.recommended ? 15 : 10)), color: points.map((p, k) => (best.has(k) ? colorOf(p.color) : fade(colorOf(p.color), 0.45))),
          line: { width: points.map((p) => (p.recommended ? 2.5 : 0)), color: style("--ink") } } },
    ];
    const shape = layout({
      xaxis: { type: "log", range: logs, title: { text: title }, nticks: 6, dtick: logs[1] - logs[0] > 1.2 ? 1 : undefined, minor: { ticks: "outside", ticklen: 3, tickcolor: style("--line") } },
      yaxis: quality({ range: ys, title: { text: words.test }, tickformat: percent && ys[1] - ys[0] < 0.04 ? ".1%" : quality().tickformat }),
    });
    shape.annotations = placeLabels(node, points, best, logs, ys, shape.margin);
    return Plotly.react(node, traces, shape, options);
  }

  // Put each name where it covers no other name and no point; leave it out where there is no room.
  function placeLabels(node, points, best, logs, ys, margin) {
    const width = node.clientWidth - margin.l - margin.r, height = node.clientHeight - margin.t - margin.b;
    const pen = document.createElement("canvas").getContext("2d");
    const family = getComputedStyle(document.body).fontFamily;
    const at = points.map((p) => [((Math.log10(p.x) - logs[0]) / (logs[1] - logs[0])) * width, ((ys[1] - p.y) / (ys[1] - ys[0])) * height]);
    const taken = at.map(([x, y]) => [x - 7, y - 7, x + 7, y + 7]);
    const urgency = (k) => (points[k].recommended ? 0 : best.has(k) ? 1 : 2);
    const order = points.map((_, k) => k).sort((a, b) => urgency(a) - urgency(b));
    const free = (box) => box[0] >= 0 && box[1] >= 0 && box[2] <= width && box[3] <= height && !taken.some((t) => box[0] < t[2] && box[2] > t[0] && box[1] < t[3] && box[3] > t[1]);
    const found = [];
    for (const k of order) {
      const text = short(points[k].name, 26), [x, y] = at[k];
      pen.font = `${points[k].recommended ? "bold " : ""}12px ${family}`;
      const w = pen.measureText(text).width + 8;
      const tries = [[x - 3 - w, y - 25], [x - w / 2, y - 27], [x + 3, y - 25], [x - 10 - w, y - 8], [x + 10, y - 8], [x + 5, y + 9], [x - 5 - w, y + 9], [x - w / 2, y + 11]];
      const place = tries.map(([l, t]) => [l, t, l + w, t + 16]).find(free);
      if (!place) continue;
      taken.push(place);
      found.push({ x: Math.log10(points[k].x), y: points[k].y, text: points[k].recommended ? `<b>${safe(text)}</b>` : safe(text), showarrow: false, xanchor: "left", yanchor: "top", xshift: place[0] - x, yshift: y - place[1],
        font: { size: 12, color: urgency(k) < 2 ? style("--ink") : style("--soft") }, borderpad: 0 });
    }
    return found;
  }

  // Learning curves.
  let across = "seconds";
  function drawCurves() {
    const node = find("chart-curves"), all = report.curves, on = all.filter((c) => c.on), off = all.filter((c) => !c.on);
    const tip = (c) => c.mean.map((m, k) => `<b>${safe(c.name)}</b><br>${learned(m)} (${learned(c.low[k])}–${learned(c.high[k])})<br>${c.steps[k]} ${safe(words.steps)}, ${c.seconds[k].toFixed(1)} s`);
    const traces = off.map((c) => ({ x: c[across], y: c.mean, mode: "lines", line: { color: style("--grey-line"), width: 1 }, text: tip(c), hovertemplate: "%{text}<extra></extra>" }));
    for (const c of on) traces.push({ x: [...c[across], ...[...c[across]].reverse()], y: [...c.high, ...[...c.low].reverse()], fill: "toself", fillcolor: fade(colorOf(c.color), 0.16), line: { width: 0 }, mode: "lines", hoverinfo: "skip" });
    for (const c of on) traces.push({ x: c[across], y: c.mean, mode: "lines", line: { color: colorOf(c.color), width: 2.2, dash: dashOf(c.color) }, text: tip(c), hovertemplate: "%{text}<extra></extra>" });
    const ends = all.map((c) => c.mean[c.mean.length - 1]), everything = all.flatMap((c) => [...c.low, ...c.high]);
    const top = Math.max(...everything), floor = Math.min(...everything), low = Math.max(floor, Math.min(...ends) - 0.35 * Math.max(top - Math.min(...ends), 0.3 * (top - floor)));
    const room = (top - low) * 0.04;
    const longest = Math.max(...all.map((c) => c[across][c[across].length - 1]));
    return Plotly.react(node, traces, layout({
      xaxis: { range: [0, longest * 1.01], title: { text: words[across] } }, yaxis: quality({ range: [low - room, Math.min(top + room, report.learning.share ? 1.006 : Infinity)], title: { text: words.validation }, tickformat: report.learning.share ? (top - low < 0.04 ? ".1%" : ".0%") : "" }),
    }), options);
  }
  function chips() {
    for (const c of report.curves) {
      const chip = make("button", undefined, "chip"), dot = make("i", undefined, "dot");
      chip.type = "button"; dot.dataset.color = c.color; chip.title = c.name;
      chip.append(dot, make("bdi", short(c.name, 40)));
      chip.setAttribute("aria-pressed", c.on);
      chip.addEventListener("click", () => { c.on = !c.on; chip.setAttribute("aria-pressed", c.on); drawCurves(); });
      find("curve-chips").append(chip);
    }
    for (const button of document.querySelectorAll("[data-across]")) button.addEventListener("click", () => {
      across = button.dataset.across;
      for (const other of document.querySelectorAll("[data-across]")) other.setAttribute("aria-pressed", other === button);
      drawCurves();
    });
  }

  // Confusion: hits on the diagonal in the accent colour, mistakes in the other, by share of the row.
  function drawConfusion() {
    const shownNow = report.confusion.matrices[+find("confusion-choice").value], size = shownNow.classes.length;
    const share = shownNow.counts.map((row, t) => row.map((n) => n / Math.max(shownNow.of[t], 1)));
    const hit = share.map((row, t) => row.map((v, p) => (t === p ? v : null)));
    const miss = share.map((row, t) => row.map((v, p) => (t === p ? null : v)));
    const worst = Math.max(0.02, ...miss.flat().filter((v) => v !== null));
    const most = node => Math.max(3, Math.floor(node.clientWidth / 40));
    const node = find("chart-confusion"), label = (c) => safe(short(c, size > 12 ? 9 : most(node)));
    const tip = shownNow.counts.map((row, t) => row.map((n, p) => `${safe(words.truth)} <b>${safe(short(shownNow.classes[t], 60))}</b><br>${safe(words.predicted)} <b>${safe(short(shownNow.classes[p], 60))}</b><br>${n} / ${shownNow.of[t]} (${(100 * share[t][p]).toFixed(1)}%)`));
    const places = shownNow.classes.map((_, k) => k);
    const common = { type: "heatmap", x: places, y: places, text: tip, hovertemplate: "%{text}<extra></extra>", hoverongaps: false, showscale: false, xgap: 2, ygap: 2 };
    const wash = style("--wash");
    const traces = [
      { ...common, z: hit, zmin: 0, zmax: 1, colorscale: [[0, wash], [1, fade(colorOf(0), isDark() ? 0.55 : 0.75)]] },
      { ...common, z: miss, zmin: 0, zmax: worst, colorscale: [[0, wash], [0.0001, wash], [1, colorOf(1)]] },
    ];
    const big = node.clientWidth / size, notes = [];
    if (big > 24) shownNow.counts.forEach((row, t) => row.forEach((n, p) => {
      if (n) notes.push({ x: p, y: t, text: String(n), showarrow: false, font: { size: big > 34 ? 12 : 10, color: t === p && !isDark() ? "#fff" : style("--ink") } });
    }));
    const axis = { tickmode: "array", tickvals: places, ticktext: shownNow.classes.map(label), showgrid: false, automargin: true, range: [-0.5, size - 0.5] };
    const wide = Math.max(...shownNow.classes.map((c) => label(c).length));
    const result = Plotly.react(node, traces, { ...layout({
      xaxis: { ...axis, title: { text: words.predicted }, tickangle: wide > 4 ? -60 : 0 }, yaxis: { ...axis, title: { text: words.truth }, range: [size - 0.5, -0.5] },
    }), annotations: notes, margin: { l: 50, r: 6, t: 6, b: 50 } }, options);
    const list = find("confusion-top");
    list.replaceChildren(...(shownNow.top.length ? shownNow.top.map(([truth, predicted, n]) => {
      const item = make("li"), text = words.taken_for.split(/(\{truth\}|\{predicted\})/).map((part) => part === "{truth}" ? make("bdi", truth) : part === "{predicted}" ? make("bdi", predicted) : part);
      const told = make("span"); told.append(...text); item.append(make("b", n + "×"), told);
      return item;
    }) : [make("li", words.no_mistakes)]));
    return result;
  }

  const charts = [];
  if (find("chart-latency")) {
    charts.push(["chart-latency", () => drawCost("chart-latency", report.latency, words.latency)]);
    charts.push(["chart-parameters", () => drawCost("chart-parameters", report.parameters, words.parameters)]);
  }
  if (find("chart-curves")) { chips(); charts.push(["chart-curves", drawCurves]); }
  if (find("chart-confusion")) {
    const choice = find("confusion-choice");
    report.confusion.matrices.forEach((m, k) => { const option = make("option", short(m.name, 60)); option.value = k; choice.append(option); });
    choice.value = report.confusion.start;
    choice.addEventListener("change", drawConfusion);
    charts.push(["chart-confusion", drawConfusion]);
  }

  function paintDots() {
    for (const dot of document.querySelectorAll(".dot[data-color]")) dot.style.background = colorOf(+dot.dataset.color);
  }
  const drawn = new Set();
  let ready = false;
  function draw(id) {
    const chart = charts.find(([name]) => name === id);
    if (ready && chart) { chart[1](); drawn.add(id); }
  }
  function redraw() { paintDots(); for (const id of drawn) draw(id); }
  function drawWhenSeen() {
    ready = true;
    const watch = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting && !drawn.has(entry.target.id)) draw(entry.target.id);
    }, { rootMargin: "600px" });
    for (const [id] of charts) watch.observe(find(id));
    addEventListener("beforeprint", () => { for (const [id] of charts) draw(id); });
    let width = innerWidth, waiting;
    addEventListener("resize", () => {
      if (innerWidth === width) return;
      width = innerWidth; clearTimeout(waiting); waiting = setTimeout(redraw, 120);
    });
    page.dataset.ready = "yes";
  }

  find("theme").addEventListener("click", () => { page.dataset.theme = isDark() ? "light" : "dark"; redraw(); });
  systemDark.addEventListener("change", redraw);

  for (const head of document.querySelectorAll("th[data-sort]")) {
    head.tabIndex = 0;
    const sort = () => {
      const rising = head.getAttribute("aria-sort") !== "ascending", column = head.cellIndex;
      const body = head.closest("table").tBodies[0], value = (row) => row.cells[column].dataset.value;
      const rows = [...body.rows].sort((a, b) => {
        const x = value(a), y = value(b);
        if (x === "" || y === "") return (x === "") - (y === "");
        return (isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y) * (rising ? 1 : -1);
      });
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      body.append(...rows);
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
  }
  const matrix = find("matrix");
  if (matrix) matrix.addEventListener("click", (event) => {
    const cell = event.target.closest("td[title]");
    if (!cell) return;
    for (const other of matrix.querySelectorAll(".on")) other.classList.remove("on");
    cell.classList.add("on");
    find("sentence").textContent = cell.title;
  });
  find("copy").addEventListener("click", () => {
    const done = () => { find("copy").textContent = words.copied; };
    if (navigator.clipboard) navigator.clipboard.writeText(report.command).then(done, () => {});
  });
  paintDots();

  // Plotly travels compressed, a third of its size; the policy above admits exactly this text.
  async function load() {
    const letters = atob(find("plotly").textContent), bytes = new Uint8Array(letters.length);
    for (let k = 0; k < letters.length; k++) bytes[k] = letters.charCodeAt(k);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
    drawWhenSeen();
  }
  if (charts.length) load().catch(() => { find("old").hidden = false; });
})();
