// The table: sorted by a click on a column's head, a third click restores the order; a click on a name chooses the method.
const results = byId("results"), body = results.tBodies[0], original = [...body.rows];

results.tHead.addEventListener("click", e => {
  const head = e.target.closest("th");
  if (!head) return;
  const column = head.cellIndex, first = column === 0 ? "ascending" : "descending", second = column === 0 ? "descending" : "ascending";
  const now = head.getAttribute("aria-sort"), next = now === "none" ? first : now === first ? second : "none";
  for (const th of results.tHead.rows[0].cells) th.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", next);
  const sign = next === "ascending" ? 1 : -1;
  const value = row => column === 0 ? row.cells[0].textContent : row.cells[column].dataset.v === undefined ? null : +row.cells[column].dataset.v;
  const rows = next === "none" ? original : [...original].sort((a, b) => {
    const x = value(a), y = value(b);
    if (x === null || y === null) return (x === null) - (y === null);  // what has no number stands last
    return sign * (column === 0 ? x.localeCompare(y) : x - y);
  });
  body.append(...rows);
});
body.addEventListener("click", e => {
  const row = e.target.closest("tr[data-row]");
  if (row) show({ row: +row.dataset.row });
});
charts.push(() => {
  for (const row of original) row.classList.toggle("chosen", +row.dataset.row === state.row);
  results.dataset.drawn = original.length;
});
