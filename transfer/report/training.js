// Loss, and what the test accuracies do meanwhile: the picture of forgetting.
function lineChart(id, label, lines, xName, yName, yRange, why) {
  const into = byId(id), shown = lines.filter(l => l.points.length);
  if (!shown.some(l => l.main)) return nothing(into, why);
  const width = into.clientWidth, height = 270, box = { left: 42, right: width - 12, top: 26, bottom: height - 42 };
  const all = shown.flatMap(l => l.points), x1 = Math.max(...all.map(p => p[0]), 1);
  const [y0, y1] = yRange ?? [0, Math.max(...all.map(p => p[1])) * 1.05 || 1];
  const x = scale(0, x1, box.left, box.right), y = scale(y0, y1, box.bottom, box.top);
  let inner = axes(box, x, y, ticks(0, x1, width < 400 ? 4 : 6), ticks(y0, y1, 5), xName, yName);
  for (const l of shown) {
    inner += `<path class="${l.faint ? "faint" : "line"}" style="stroke:${l.colour};${l.style ?? ""}" d="${path(l.points.map(p => [x(p[0]), y(p[1])]))}"/>`;
    if (l.dots) inner += l.points.map(p => `<circle cx="${x(p[0])}" cy="${y(p[1])}" r="3.5" fill="${l.colour}"/><circle class="hit" cx="${x(p[0])}" cy="${y(p[1])}" r="10" data-tip="${esc(`step ${p[0]}\n${l.name} ${p[1].toFixed(1)} %`)}"/>`).join("");
  }
  svg(into, width, height, label, shown.length, inner);
}

// Position by position the mean over the jobs that have one.
function meanBy(jobs, list) {
  const lists = jobs.map(list).filter(l => l.length), length = Math.max(0, ...lists.map(l => l.length));
  return Array.from({ length }, (_, i) => {
    const here = lists.map(l => l[i]).filter(p => p && Number.isFinite(p[1]));
    return here.length ? [here[0][0], average(here.map(p => p[1]))] : null;
  }).filter(Boolean);
}
const lossOf = job => job.l.map((v, i) => [(i + 1) * job.e, v ?? NaN]);
// From what the source model says, at step 0, to what the method says in the end.
function forgetting(jobs, which) {
  const before = new Map(data.jobs.filter(j => j.m === SOURCE).map(j => [`${j.t}/${j.s}`, j]));
  return meanBy(jobs, job => {
    const list = [], source = before.get(`${job.t}/${job.s}`);
    for (let i = 0; i < job.h.length; i += 3) list.push([job.h[i], job.h[i + which] / 100]);
    if (list.length && source) list.unshift([0, source.a[which] / 1e6]);
    return list;
  });
}

charts.push(() => {
  const jobs = jobsOf(state.row), name = data.rows[state.row].name, sgd = SGD >= 0 && SGD !== state.row ? jobsOf(SGD) : [];
  const single = jobs.length > 1 && jobs.length <= 40 ? jobs.map(j => ({ points: lossOf(j).filter(p => Number.isFinite(p[1])), colour: "var(--muted)", style: "opacity:.22;stroke-width:1" })) : [];
  lineChart("loss-chart", `Training loss of ${name} by step, ${where()}`, [...single, { points: meanBy(jobs, lossOf), colour: "var(--ink)", main: true }], "step", "loss", null, `${name} takes no training step.`);
  const lines = [["seen", 1], ["unseen", 2]].flatMap(([group, i]) => [
    { points: forgetting(sgd, i), colour: `var(--${group})`, faint: true },
    { points: forgetting(jobs, i), colour: `var(--${group})`, dots: true, main: true, name: `${name}, ${group}` }]);
  lineChart("forgetting-chart", `Seen and unseen test accuracy of ${name} by step, ${where()}`, lines, "step", "%", [0, 100], `Nothing was measured while ${name} trained.`);
});
