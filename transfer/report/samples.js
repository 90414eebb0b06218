// Images of both domains; those of the target with what the chosen method says. One target at a time.
function figure(picture, seen, verdict) {
  const name = esc(data.classes[picture.y]), mark = seen === null ? "" : ` <span class="${seen ? "seen" : "unseen"}" title="${seen ? "seen" : "unseen"} class">●</span>`;
  const text = verdict ? (verdict.right ? `<span class="right">✓ ${name}</span>` : `<span class="wrong">✗ ${esc(data.classes[verdict.predicted])}</span> for ${name}`) : name;
  const tipText = [picture.c, `true class ${data.classes[picture.y]}${seen === null ? "" : seen ? " (seen)" : " (unseen)"}`, verdict && `answer ${data.classes[verdict.predicted] ?? "none"}${verdict.probability === null ? "" : `, ${percent(verdict.probability)} %`}`].filter(Boolean).join("\n");
  return `<figure class="${verdict ? (verdict.right ? "is-right" : "is-wrong") : ""}" data-tip="${esc(tipText)}" tabindex="0"><img src="${picture.u}" alt="${name}"><figcaption>${text}${mark}</figcaption></figure>`;
}

charts.push(() => {
  const into = byId("samples-target"), task = state.task === ALL ? 0 : state.task, target = data.targets[task];
  byId("samples-source-title").textContent = `Source: ${data.source}`;
  byId("samples-target-title").textContent = `Target: ${data.tasks[task]}, as ${data.rows[state.row].name} sees it`;
  const sources = data.pictures.filter(p => p.d === data.source), targets = data.pictures.filter(p => p.d === target);
  byId("samples").hidden = !data.pictures.length;
  byId("samples-source").innerHTML = sources.map(p => figure(p, null, null)).join("");
  byId("samples-source").dataset.drawn = sources.length;
  const job = data.jobs.find(j => j.m === state.row && j.t === task && (state.seed === ALL || j.s === state.seed)), answers = new Map();
  if (job) for (let i = 0; i < job.i.length; i += 3) answers.set(job.i[i], { predicted: job.i[i + 1], probability: job.i[i + 2] === null ? null : job.i[i + 2] / 1e4 });
  const has = job ? isSeen(job) : null;
  into.innerHTML = targets.map(p => {
    const answer = answers.get(p.p);
    return figure(p, has ? has(p.y) : null, answer ? { ...answer, right: answer.predicted === p.y } : null);
  }).join("");
  into.dataset.drawn = targets.length;
});
