// The page's state, and what all charts share. A chart is a function that draws itself for the state; show() changes
// the state and draws all anew. Texts from the data go through esc() or textContent, always.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = id => document.getElementById(id);
const esc = s => String(s).replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`);
const percent = x => (Math.floor(1000 * x + 0.5 + 1e-5) / 10).toFixed(1);  // as table_grid.cpp
const signed = x => { const s = percent(Math.abs(x)); return s === "0.0" ? s : (x < 0 ? "−" : "+") + s; };
const average = list => list.reduce((a, b) => a + b, 0) / list.length;
const indexOf = name => data.rows.findIndex(r => r.name === name);

const ALL = -1;
const state = { row: data.best ?? 0, task: data.tasks.length > 1 ? ALL : 0, seed: data.seeds.length > 1 ? ALL : 0, axes: "fit", sort: "order" };
const charts = [];

// The finished jobs of a row, for the chosen target and seed.
const jobsOf = row => data.jobs.filter(j => j.m === row && (state.task === ALL || j.t === state.task) && (state.seed === ALL || j.s === state.seed));
// Mean over targets of the mean over seeds, as in the table; null without jobs.
function mean(jobs, value) {
  const byTask = new Map();
  for (const j of jobs) {
    const v = value(j);
    if (v != null) byTask.set(j.t, [...(byTask.get(j.t) ?? []), v]);
  }
  return byTask.size ? average([...byTask.values()].map(average)) : null;
}
const accuracy = (jobs, i) => mean(jobs, j => j.a[i] / 1e8);  // i: as in data.cpp's a

const SOURCE = indexOf("source"), SGD = indexOf("sgd");
const isSeen = job => { const set = new Set(data.splits[job.p]); return c => set.has(c); };
const where = () => [state.task === ALL ? `mean of ${data.tasks.length} targets` : data.tasks[state.task],
  state.seed === ALL ? `mean of ${data.seeds.length} seeds` : data.seeds.length > 1 ? `seed ${data.seeds[state.seed]}` : ""].filter(Boolean).join(", ");

// Drawing: SVG as text, at the container's width, so that letters keep their size.
function svg(into, width, height, label, marks, inner) {
  into.innerHTML = `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="group" aria-label="${esc(label)}"><desc>${esc(label)}</desc>${inner}</svg>`;
  into.dataset.drawn = marks;
}
function nothing(into, why) {
  into.innerHTML = `<p class="note">${esc(why)}</p>`;
  into.dataset.drawn = 0;
}
const scale = (d0, d1, r0, r1) => x => r0 + (d1 === d0 ? 0.5 : (x - d0) / (d1 - d0)) * (r1 - r0);
// Round numbers over a range, about `count` of them.
function ticks(low, high, count) {
  if (!(high > low)) return [low];
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find(m => m * power >= raw);
  const list = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) list.push(+(i * step).toPrecision(12));
  return list;
}
// Both axes with their grid: x and y are scales, xs and ys the ticks.
function axes(box, x, y, xs, ys, xName, yName) {
  return ys.map(v => `<line class="grid" x1="${box.left}" x2="${box.right}" y1="${y(v)}" y2="${y(v)}"/><text x="${box.left - 8}" y="${y(v) + 4}" text-anchor="end">${v}</text>`).join("") +
    xs.map(v => `<line class="grid" y1="${box.top}" y2="${box.bottom}" x1="${x(v)}" x2="${x(v)}"/><text x="${x(v)}" y="${box.bottom + 17}" text-anchor="middle">${v}</text>`).join("") +
    `<path class="axis" fill="none" d="M${box.left} ${box.top}V${box.bottom}H${box.right}"/>` +
    `<text x="${box.right}" y="${box.bottom + 34}" text-anchor="end">${esc(xName)}</text><text x="${box.left - 34}" y="${box.top - 9}">${esc(yName)}</text>`;
}
const path = points => points.map((p, i) => `${i ? "L" : "M"}${p[0].toFixed(1)} ${p[1].toFixed(1)}`).join("");

// One mark for each family of methods: told apart by shape as well as by colour.
const FAMILIES = {
  baseline: { text: "baseline", colour: "var(--baseline)", shape: r => `<circle r="${r * 0.9}"/>`, filled: true },
  control: { text: "control", colour: "var(--control)", shape: r => `<circle r="${r * 0.85}"/>`, filled: false },
  paper: { text: "Tu et al. 2023", colour: "var(--paper-mark)", shape: r => `<path d="M0 ${-r * 1.15}L${r * 1.05} ${r * 0.75}H${-r * 1.05}Z"/>`, filled: true },
  ours: { text: "holt’s own", colour: "var(--ours)", shape: r => `<path d="M0 ${-r * 1.25}L${r * 1.25} 0 0 ${r * 1.25} ${-r * 1.25} 0Z"/>`, filled: true },
  reference: { text: "source, oracle", colour: "var(--reference)", shape: r => `<rect x="${-r * 0.85}" y="${-r * 0.85}" width="${r * 1.7}" height="${r * 1.7}"/>`, filled: false },
};
function mark(family, r) {
  const f = FAMILIES[family];
  return `<g stroke="${f.colour}" stroke-width="1.75" fill="${f.filled ? f.colour : "var(--paper)"}">${f.shape(r)}</g>`;
}

// What [data-tip] says, on hovering and on focus.
const tip = byId("tip");
function showTip(target, x, y) {
  tip.textContent = target.dataset.tip;
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - box.width - 4))}px`;
  tip.style.top = `${y + 18 + box.height > innerHeight ? Math.max(4, y - box.height - 10) : y + 18}px`;
}
document.addEventListener("pointermove", e => {
  const target = e.target.closest?.("[data-tip]");
  if (target) showTip(target, e.clientX, e.clientY); else tip.hidden = true;
});
document.addEventListener("pointerleave", () => { tip.hidden = true; });
document.addEventListener("focusin", e => {
  const target = e.target.closest?.("[data-tip]");
  if (!target) { tip.hidden = true; return; }
  const box = target.getBoundingClientRect();
  showTip(target, box.right, box.bottom - 10);
});
// Marks that choose their method: by click, Enter or space.
for (const kind of ["click", "keydown"])
  document.addEventListener(kind, e => {
    const target = e.target.closest?.("svg [data-row]");
    if (!target || (kind === "keydown" && e.key !== "Enter" && e.key !== " ")) return;
    e.preventDefault();
    const chart = target.closest(".chart").id, row = target.dataset.row;
    show({ row: +row });
    if (kind === "keydown") document.querySelector(`#${chart} [data-row="${row}"]`)?.focus();
  });

const PICKERS = { row: byId("pick-row"), task: byId("pick-task"), seed: byId("pick-seed") };
function fillPicker(key, names, all) {
  const list = names.map((n, i) => [i, n]);
  if (all && names.length > 1) list.unshift([ALL, all]);
  PICKERS[key].innerHTML = list.map(([i, n]) => `<option value="${i}">${esc(n)}</option>`).join("");
  PICKERS[key].addEventListener("change", () => show({ [key]: +PICKERS[key].value }));
  if (list.length < 2) PICKERS[key].closest("label").hidden = true;
}
function show(change) {
  Object.assign(state, change);
  for (const key in PICKERS) PICKERS[key].value = state[key];
  for (const chart of charts) chart();
}
document.addEventListener("DOMContentLoaded", () => {
  fillPicker("row", data.rows.map(r => r.name));
  fillPicker("task", data.tasks, `mean of all ${data.tasks.length}`);
  fillPicker("seed", data.seeds, `mean of all ${data.seeds.length}`);
  byId("bar").hidden = data.jobs.length === 0;
  show({});
  let width = document.body.clientWidth;
  addEventListener("resize", () => {
    if (document.body.clientWidth === width) return;
    width = document.body.clientWidth;
    show({});
  });
});
