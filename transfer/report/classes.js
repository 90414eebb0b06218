// Accuracy of every class before and after, the seen ones beside the unseen ones. Over several targets or seeds a class
// may stand on both sides: on each with the runs in which it was that.
function classRows(seen) {
  const before = new Map(data.jobs.filter(j => j.m === SOURCE).map(j => [`${j.t}/${j.s}`, j]));
  const sums = new Map();
  for (const job of jobsOf(state.row)) {
    const has = isSeen(job), source = before.get(`${job.t}/${job.s}`);
    job.n.forEach((n, c) => {
      if (!n || has(c) !== seen) return;
      const s = sums.get(c) ?? { c, runs: 0, images: 0, after: 0, before: source ? 0 : NaN };
      s.runs++, s.images += n, s.after += job.k[c] / n, s.before += source && source.n[c] ? source.k[c] / source.n[c] : NaN;
      sums.set(c, s);
    });
  }
  const rows = [...sums.values()].map(s => ({ ...s, after: s.after / s.runs, before: s.before / s.runs, name: data.classes[s.c] }));
  const key = { order: r => r.c, gain: r => r.before - r.after, before: r => r.before, after: r => r.after }[state.sort];
  return rows.sort((a, b) => (key(a) || 0) - (key(b) || 0) || a.c - b.c);
}

function drawClasses(id, seen) {
  const into = byId(id), rows = classRows(seen), note = byId(`${id}-note`);
  note.textContent = "";
  if (!rows.length) return nothing(into, "No class here.");
  const width = into.clientWidth - 12, each = 17, height = rows.length * each + 30;
  const left = Math.min(140, Math.max(26, 7.2 * Math.max(...rows.map(r => r.name.length)) + 10)), right = width - 46;
  const x = scale(0, 1, left + 6, right - 6), colour = seen ? "var(--seen)" : "var(--unseen)";
  const cut = name => name.length > 18 ? name.slice(0, 17) + "…" : name;
  let inner = [0, 0.25, 0.5, 0.75, 1].map(v => `<line class="grid" x1="${x(v)}" x2="${x(v)}" y1="18" y2="${height - 6}"/><text x="${x(v)}" y="11" text-anchor="middle">${100 * v}</text>`).join("");
  rows.forEach((r, i) => {
    const y = 18 + each * (i + 0.5), known = !Number.isNaN(r.before), gain = r.after - r.before;
    const text = `${r.name} (${seen ? "seen" : "unseen"})\n` + (known ? `${percent(r.before)} → ${percent(r.after)} (${signed(gain)})` : percent(r.after)) + `\n${r.images} test images in ${r.runs} ${r.runs === 1 ? "run" : "runs"}`;
    inner += `<g data-tip="${esc(text)}"><rect class="hit" x="0" y="${y - each / 2}" width="${width}" height="${each}"/><text class="name" x="${left - 4}" y="${y + 4}" text-anchor="end">${esc(cut(r.name))}</text>` +
      (known ? `<line x1="${x(r.before)}" x2="${x(r.after)}" y1="${y}" y2="${y}" stroke="${colour}" stroke-width="2" opacity=".5"/><circle cx="${x(r.before)}" cy="${y}" r="3.5" fill="var(--paper)" stroke="${colour}" stroke-width="1.5"/><text x="${width - 4}" y="${y + 4}" text-anchor="end">${signed(gain)}</text>` : "") +
      `<circle cx="${x(r.after)}" cy="${y}" r="4" fill="${colour}"/></g>`;
  });
  svg(into, width, height, `Accuracy of ${rows.length} ${seen ? "seen" : "unseen"} classes before and after ${data.rows[state.row].name}, ${where()}`, rows.length, inner);
  const better = rows.filter(r => r.after > r.before + 1e-9).length, worse = rows.filter(r => r.after < r.before - 1e-9).length;
  note.textContent = rows.some(r => !Number.isNaN(r.before)) ? `${better} better, ${worse} worse, ${rows.length - better - worse} equal` : "";
}

byId("classes-sort").addEventListener("change", e => show({ sort: e.target.value }));
charts.push(() => { drawClasses("classes-seen", true); drawClasses("classes-unseen", false); });
