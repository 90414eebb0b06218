// The seen–unseen plane: every method a mark, the chosen and the hovered one with their calibration curves.
//
// A mean of several curves: each is stretched to reach 1 on both axes, rays from the origin then meet all of them at like
// places (the corner of one with the corner of another), and these points, brought back to scale, are averaged.
const RAYS = Array.from({ length: 181 }, (_, i) => [Math.cos(i * Math.PI / 360), Math.sin(i * Math.PI / 360)]);

const pointsOf = job => {
  const list = [];
  for (let i = 0; i < job.v.length; i += 2) list.push([job.v[i] / 1e4, job.v[i + 1] / 1e4]);
  return list;
};
// How far from the origin each ray meets the curve, which turns from the seen axis to the unseen one.
function distances(points) {
  const side = (ray, p) => ray[0] * p[1] - ray[1] * p[0];  // above 0: the point lies beyond the ray
  let at = 0;
  return RAYS.map(ray => {
    while (at + 1 < points.length - 1 && side(ray, points[at + 1]) < 0) at++;
    const a = points[at], b = points[at + 1], da = side(ray, a), db = side(ray, b);
    const t = da === db ? 0 : Math.min(1, Math.max(0, da / (da - db)));
    return (a[0] + t * (b[0] - a[0])) * ray[0] + (a[1] + t * (b[1] - a[1])) * ray[1];
  });
}
function meanCurve(jobs) {
  const curves = jobs.map(pointsOf).filter(c => c.length > 1);
  if (curves.length < 2) return curves[0] ?? [];
  const all = curves.map(c => {
    const seen = c[0][0] || 1, unseen = c.at(-1)[1] || 1;
    return distances(c.map(([s, u]) => [s / seen, u / unseen])).map((d, i) => [d * RAYS[i][0] * seen, d * RAYS[i][1] * unseen]);
  });
  return RAYS.map((_, i) => [average(all.map(c => c[i][0])), average(all.map(c => c[i][1]))]);
}

let hovered = null;

function drawPlane() {
  const into = byId("plane-chart"), width = into.clientWidth, height = Math.round(Math.min(width * 0.82, 520) + 40);
  const places = data.rows.map((r, row) => {
    const jobs = jobsOf(row);
    return { row, name: r.name, family: r.family, jobs, seen: accuracy(jobs, 1), unseen: accuracy(jobs, 2) };
  }).filter(p => p.jobs.length);
  if (!places.length) return nothing(into, "There is no finished job here.");

  const full = state.axes === "full";
  const range = key => {
    if (full) return [0, 100];
    const list = places.map(p => 100 * p[key]), low = Math.min(...list), high = Math.max(...list), pad = Math.max(3, 0.06 * (high - low));
    return [Math.max(0, low - pad), Math.min(100, high + pad)];
  };
  const box = { left: 42, right: width - 14, top: 26, bottom: height - 42 };
  const [x0, x1] = range("seen"), [y0, y1] = range("unseen");
  const x = scale(x0, x1, box.left, box.right), y = scale(y0, y1, box.bottom, box.top);

  const curve = (row, attributes) => {
    const points = meanCurve(jobsOf(row)).map(([s, u]) => [x(100 * s), y(100 * u)]);
    return points.length ? `<path ${attributes} d="${path(points)}"/>` : "";
  };
  let inner = `<clipPath id="plane-box"><rect x="${box.left}" y="${box.top - 6}" width="${box.right - box.left + 8}" height="${box.bottom - box.top + 6}"/></clipPath>`;
  inner += axes(box, x, y, ticks(x0, x1, width < 480 ? 5 : 8), ticks(y0, y1, 7), "seen accuracy, %", "unseen accuracy, %") + `<g clip-path="url(#plane-box)">`;
  if (SGD >= 0 && SGD !== state.row) inner += curve(SGD, `class="faint"`);
  if (hovered !== null && hovered !== state.row) inner += curve(hovered, `class="line" style="stroke:${FAMILIES[data.rows[hovered].family].colour};opacity:.5"`);
  inner += curve(state.row, `class="line" style="stroke:${FAMILIES[data.rows[state.row].family].colour}"`);
  // Where the calibrations stop on the chosen curve.
  const chosen = jobsOf(state.row), gammas = [...new Set(chosen.flatMap(j => Object.keys(j.c)))];
  for (const g of gammas) {
    const at = i => mean(chosen, j => j.c[g] && j.c[g][i] / 1e8), s = at(1), u = at(2);
    const text = `γ ${g}${g === "best" ? " (chosen on the test images)" : ""}\noverall ${percent(at(0))}, seen ${percent(s)}, unseen ${percent(u)}`;
    inner += `<g transform="translate(${x(100 * s)} ${y(100 * u)})" data-tip="${esc(text)}"><path d="M-5-5L5 5M-5 5L5-5" stroke="${FAMILIES[data.rows[state.row].family].colour}" stroke-width="2"/><circle class="hit" r="9"/><text class="name" ${x(100 * s) > width - 80 ? 'x="-9" text-anchor="end"' : 'x="9"'} y="-5">γ ${esc(g)}</text></g>`;
  }
  inner += "</g>";

  // The chosen one on top. Names stand where there is room, the more telling ones first.
  const telling = [p => p.row === state.row, p => p.row === data.best, p => p.family === "reference", p => p.row === SGD, p => p.family === "ours", p => p.family === "paper", () => true];
  const weight = p => telling.findIndex(is => is(p));
  const taken = places.map(p => ({ l: x(100 * p.seen) - 7, r: x(100 * p.seen) + 7, t: y(100 * p.unseen) - 7, b: y(100 * p.unseen) + 7, row: p.row }));
  const labels = new Map();
  for (const p of [...places].sort((a, b) => weight(a) - weight(b))) {
    const w = 6.6 * p.name.length, px = x(100 * p.seen), py = y(100 * p.unseen);
    for (const [dx, dy, anchor] of [[-11, 4, "end"], [11, 4, "start"], [0, -12, "middle"], [0, 21, "middle"]]) {
      const l = px + dx - (anchor === "end" ? w : anchor === "middle" ? w / 2 : 0);
      const t = { l, r: l + w, t: py + dy - 11, b: py + dy + 3, row: p.row };
      if (t.l < box.left + 2 || t.r > width || t.t < box.top - 8 || t.b > box.bottom) continue;
      if (taken.some(o => o.row !== p.row && o.l < t.r && t.l < o.r && o.t < t.b && t.t < o.b)) continue;
      taken.push(t);
      labels.set(p.row, `<text class="${p.row === state.row ? "strong" : "name"}" x="${dx}" y="${dy}" text-anchor="${anchor}">${esc(p.name)}</text>`);
      break;
    }
  }
  for (const p of [...places].sort((a, b) => (a.row === state.row) - (b.row === state.row))) {
    const text = `${p.name}\nseen ${percent(p.seen)}, unseen ${percent(p.unseen)}\noverall ${percent(accuracy(p.jobs, 0))}, AUSUC ${percent(accuracy(p.jobs, 4))}`;
    inner += `<g class="point" transform="translate(${x(100 * p.seen)} ${y(100 * p.unseen)})" role="button" tabindex="0" data-row="${p.row}" data-tip="${esc(text)}" aria-label="${esc(text.replaceAll("\n", ", "))}" aria-pressed="${p.row === state.row}">${mark(p.family, p.row === state.row ? 7 : 5)}<circle class="hit" r="11"/>${labels.get(p.row) ?? ""}</g>`;
  }
  svg(into, width, height, `Seen against unseen accuracy of ${places.length} methods, ${where()}`, places.length, inner);
  const used = new Set(places.map(p => p.family));
  byId("plane-legend").innerHTML = Object.entries(FAMILIES).filter(([k]) => used.has(k)).map(([k, f]) => `<span><svg width="14" height="14" viewBox="-7 -7 14 14" aria-hidden="true">${mark(k, 5)}</svg>${f.text}</span>`).join("");
  drawReadout(chosen);
}

function drawReadout(jobs) {
  const row = data.rows[state.row], names = ["overall", "seen", "unseen", "harmonic mean", "AUSUC", "seen among seen", "unseen among unseen", "NCM, seen", "NCM, unseen"];
  const hints = { 5: "only seen classes as answers", 6: "only unseen classes as answers", 7: "nearest class mean in feature space", 8: "nearest class mean in feature space: how much the features still know" };
  const line = (i) => `<dt${hints[i] ? ` data-tip="${esc(hints[i])}"` : ""}>${names[i]}</dt><dd>${percent(accuracy(jobs, i))}</dd>`;
  byId("readout").innerHTML = `<h3>${esc(row.name)}</h3><p>${esc(row.text)}</p>` + (jobs.length
    ? `<dl>${[0, 1, 2, 3, 4].map(line).join("")}<hr>${[5, 6, 7, 8].map(line).join("")}</dl><p>${esc(where())}</p>`
    : `<p>No finished job for ${esc(where())}.</p>`);
}

for (const kind of ["pointerover", "focusin"])
  byId("plane-chart").addEventListener(kind, e => {
    const row = e.target.closest("[data-row]")?.dataset.row ?? null;
    if (row === null || +row === hovered) return;
    hovered = +row;
    const focused = kind === "focusin";
    drawPlane();
    if (focused) document.querySelector(`#plane-chart [data-row="${row}"]`)?.focus();
  });
byId("plane-chart").addEventListener("pointerleave", () => { hovered = null; drawPlane(); });
for (const radio of document.querySelectorAll("[name=axes]")) radio.addEventListener("change", () => show({ axes: radio.value }));
charts.push(drawPlane);
