// Where the test images go: how many cross from one group of classes to the other, and the confusion matrix.
//
// The matrix adds up the chosen runs. Where they share one split its classes stand seen first, in two blocks; else in
// the data's own order.
function flows(jobs) {
  const sum = { seen: [0, 0, 0], unseen: [0, 0, 0] };  // right, wrong within the group, taken by the other group
  for (const job of jobs) {
    const has = isSeen(job), n = data.classes.length;
    for (let i = 0; i < job.x.length; i += 2) {
      const label = Math.floor(job.x[i] / n), predicted = job.x[i] % n;
      sum[has(label) ? "seen" : "unseen"][label === predicted ? 0 : has(label) === has(predicted) ? 1 : 2] += job.x[i + 1];
    }
  }
  return sum;
}

function drawFlows(jobs) {
  const into = byId("flow-chart"), sum = flows(jobs);
  let marks = 0, html = "";
  for (const group of ["seen", "unseen"]) {
    const other = group === "seen" ? "unseen" : "seen", total = sum[group].reduce((a, b) => a + b, 0);
    if (!total) continue;
    const parts = [["right", `background:var(--${group});color:var(--paper)`], [`another ${group} class`, `background:color-mix(in srgb, var(--${group}) 22%, var(--paper));color:var(--ink)`],
      [`an ${other} class`.replace("an seen", "a seen"), `color:var(--ink);box-shadow:inset 0 0 0 1.5px var(--${other});background:repeating-linear-gradient(135deg, color-mix(in srgb, var(--${other}) 30%, var(--paper)) 0 3px, var(--paper) 3px 8px)`]];
    html += `<div>Images of <span class="${group}">${group}</span> classes</div><div class="track">` + parts.map(([name, style], i) => {
      const share = sum[group][i] / total;
      if (!share) return "";
      marks++;
      const text = `${name === "right" ? "right" : "taken for " + name}: ${percent(share)} % (${sum[group][i]} of ${total})`;
      return `<span style="flex:${share} 1 0;${style}${share < 0.06 ? ";padding:0" : ""}" data-tip="${esc(text)}" tabindex="0" role="img" aria-label="${esc(text)}">${share < 0.06 ? "" : `<b>${percent(share)}</b> ${share > 0.2 ? name : ""}`}</span>`;
    }).join("") + "</div>";
  }
  into.innerHTML = html || `<p class="note">There is no finished job here.</p>`;
  into.dataset.drawn = marks;
}

let matrix = null;  // what is under the pointer can be looked up here

function drawConfusion() {
  const jobs = jobsOf(state.row), into = byId("confusion-chart"), n = data.classes.length;
  drawFlows(jobs);
  byId("mistakes").innerHTML = "";
  byId("confusion-hover").innerHTML = "&nbsp;";
  matrix = null;
  if (!jobs.length) return nothing(into, "There is no finished job here.");
  const one = new Set(jobs.map(j => j.p)).size === 1, has = isSeen(jobs[0]);
  const order = data.classes.map((_, c) => c);
  if (one) order.sort((a, b) => has(b) - has(a) || a - b);
  const seenCount = one ? order.filter(has).length : 0, at = new Map(order.map((c, i) => [c, i]));
  const counts = new Map(), totals = new Float64Array(n);
  for (const job of jobs)
    for (let i = 0; i < job.x.length; i += 2) {
      counts.set(job.x[i], (counts.get(job.x[i]) ?? 0) + job.x[i + 1]);
      totals[Math.floor(job.x[i] / n)] += job.x[i + 1];
    }
  byId("confusion-note").textContent = one ? "Rows: the true class. Columns: the answer. Darker: a larger part of the row. Seen classes stand first."
    : "Rows: the true class. Columns: the answer. Darker: a larger part of the row. The chosen runs differ in what was seen: choose one target and seed to have the seen classes apart.";

  const width = into.clientWidth, longest = Math.max(...data.classes.map(c => c.length));
  let left = Math.min(110, 6.2 * longest + 10) + 18, cell = (width - left - 2) / n;
  const named = cell >= 8;
  if (!named) left = 22, cell = (width - left - 2) / n;
  const top = named ? left : 22, size = cell * n, height = top + size + 4;
  // Equally dark cells are one path: a few elements, however many classes.
  const levels = 8, dark = Array.from({ length: 2 * levels }, () => "");
  for (const [key, count] of counts) {
    const label = Math.floor(key / n), predicted = key % n, level = Math.min(levels - 1, Math.floor(levels * count / totals[label]));
    const x = left + cell * at.get(predicted), y = top + cell * at.get(label), s = Math.max(cell - (cell > 4 ? 0.6 : 0), 0.5);
    dark[level + (label === predicted ? levels : 0)] += `M${x.toFixed(1)} ${y.toFixed(1)}h${s.toFixed(1)}v${s.toFixed(1)}h${(-s).toFixed(1)}z`;
  }
  let inner = `<rect x="${left}" y="${top}" width="${size}" height="${size}" fill="none" stroke="var(--rule)"/>`;
  inner += dark.map((d, i) => d && `<path d="${d}" fill="${i < levels ? "var(--wrong)" : "var(--ink)"}" opacity="${(0.18 + 0.82 * (i % levels) / (levels - 1)).toFixed(2)}"/>`).join("");
  if (named)
    inner += order.map((c, i) => {
      const name = data.classes[c].length > 16 ? data.classes[c].slice(0, 15) + "…" : data.classes[c], middle = cell * (i + 0.5), font = Math.min(11, cell + 1).toFixed(1);
      return `<text style="font-size:${font}px" x="${left - 5}" y="${(top + middle + 3.5).toFixed(1)}" text-anchor="end">${esc(name)}</text><text style="font-size:${font}px" transform="translate(${(left + middle + 3.5).toFixed(1)} ${top - 5}) rotate(-90)">${esc(name)}</text>`;
    }).join("");
  if (one) {
    const split = cell * seenCount;
    inner += `<path d="M${left} ${top + split}h${size}M${left + split} ${top}v${size}" stroke="var(--ink)"/>`;
    for (const [text, from, to] of [["seen", 0, split], ["unseen", split, size]])
      inner += `<text style="fill:var(--${text});font-weight:600" text-anchor="middle" x="${left + (from + to) / 2}" y="12">${text}</text><text style="fill:var(--${text});font-weight:600" text-anchor="middle" transform="translate(11 ${top + (from + to) / 2}) rotate(-90)">${text}</text>`;
  }
  inner += `<rect id="confusion-cell" fill="none" stroke="var(--focus)" stroke-width="2" width="${cell + 1}" height="${cell + 1}" visibility="hidden"/>`;
  svg(into, width, height, `Confusion matrix of ${n} classes for ${data.rows[state.row].name}, ${where()}`, counts.size, inner);
  matrix = { left, top, cell, n, order, counts, totals, width };

  const wrong = [...counts].filter(([key]) => Math.floor(key / n) !== key % n).sort((a, b) => b[1] - a[1]).slice(0, 12);
  const name = c => one ? `<span class="${has(c) ? "seen" : "unseen"}">${esc(data.classes[c])}</span>` : `<b>${esc(data.classes[c])}</b>`;
  byId("mistakes").innerHTML = wrong.map(([key, count]) => `<li>${name(Math.floor(key / n))} taken for ${name(key % n)} <small>${count} of ${totals[Math.floor(key / n)]}</small></li>`).join("");
}

byId("confusion-chart").addEventListener("pointermove", e => {
  const frame = byId("confusion-cell");
  if (!matrix || !frame) return;
  const box = byId("confusion-chart").querySelector("svg").getBoundingClientRect(), zoom = matrix.width / box.width;
  const column = Math.floor(((e.clientX - box.left) * zoom - matrix.left) / matrix.cell), row = Math.floor(((e.clientY - box.top) * zoom - matrix.top) / matrix.cell);
  if (Math.min(row, column) < 0 || Math.max(row, column) >= matrix.n) { frame.setAttribute("visibility", "hidden"); return; }
  const label = matrix.order[row], predicted = matrix.order[column], count = matrix.counts.get(label * matrix.n + predicted) ?? 0;
  frame.setAttribute("visibility", "visible");
  frame.setAttribute("x", matrix.left + column * matrix.cell - 0.5);
  frame.setAttribute("y", matrix.top + row * matrix.cell - 0.5);
  byId("confusion-hover").textContent = `${data.classes[label]} → ${data.classes[predicted]}: ${count} of ${matrix.totals[label]} images`;
});
charts.push(drawConfusion);
