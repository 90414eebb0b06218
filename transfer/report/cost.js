// Seconds of each method: of the adaptation, and in a lighter part of choosing.
charts.push(() => {
  const into = byId("cost-chart"), width = into.clientWidth, each = 22;
  const rows = data.rows.map((r, row) => {
    const jobs = jobsOf(row);
    return { row, name: r.name, family: r.family, adapt: mean(jobs, j => j.w[0]), choose: mean(jobs, j => j.w[1]) };
  }).filter(r => r.adapt !== null);
  if (!rows.length) return nothing(into, "There is no finished job here.");
  const left = Math.min(0.42 * width, 7 * Math.max(...rows.map(r => r.name.length)) + 12), most = Math.max(...rows.map(r => r.adapt + r.choose), 1e-3);
  const x = scale(0, most, left, width - 64), letters = Math.floor((left - 10) / 6.9), height = rows.length * each + 6;
  const seconds = s => s < 99.95 ? s.toFixed(1) : s.toFixed(0);
  let inner = `<line class="axis" x1="${left}" x2="${left}" y1="0" y2="${height - 4}"/>`;
  rows.forEach((r, i) => {
    const y = each * i + 3, name = r.name.length > letters ? "…" + r.name.slice(1 - letters) : r.name, colour = FAMILIES[r.family].colour;
    const text = `${r.name}\n${seconds(r.adapt)} s` + (r.choose > 0.05 ? `, and ${seconds(r.choose)} s of choosing` : "");
    inner += `<g data-row="${r.row}" data-tip="${esc(text)}" role="button" tabindex="0" aria-label="${esc(text.replace("\n", ": "))}"><rect class="hit" x="0" y="${y - 1}" width="${width}" height="${each - 2}"/>` +
      `<text class="${r.row === state.row ? "strong" : "name"}" x="${left - 8}" y="${y + 13}" text-anchor="end">${esc(name)}</text>` +
      `<rect x="${left}" y="${y + 2}" width="${Math.max(x(r.adapt) - left, 0.5)}" height="14" fill="${colour}"/><rect x="${x(r.adapt)}" y="${y + 2}" width="${x(r.adapt + r.choose) - x(r.adapt)}" height="14" fill="${colour}" opacity=".35"/>` +
      `<text x="${x(r.adapt + r.choose) + 7}" y="${y + 13}">${seconds(r.adapt + r.choose)} s</text></g>`;
  });
  svg(into, width, height, `Seconds of ${rows.length} methods, ${where()}`, rows.length, inner);
});
