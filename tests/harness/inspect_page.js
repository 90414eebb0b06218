// For report_test: stands before the page's own scripts and collects every complaint; then uses each control, and writes
// what it found to an attribute of the document.
const faults = [];
addEventListener("error", e => faults.push(`${e.message} (${e.lineno}:${e.colno})`), true);
addEventListener("unhandledrejection", e => faults.push(`${e.reason}`));
addEventListener("securitypolicyviolation", e => faults.push(`blocked: ${e.blockedURI} ${e.violatedDirective}`));
console.error = console.warn = (...a) => faults.push(a.join(" "));

const root = document.documentElement, all = selector => [...document.querySelectorAll(selector)], one = selector => document.querySelector(selector);
const drawn = () => Object.fromEntries(all("[data-drawn]").map(e => [e.id, +e.dataset.drawn]));
const found = { overflow: 0, widest: "" };

// How far the page is wider than its window, and what makes it so.
function measure(when) {
  const over = root.scrollWidth - root.clientWidth;
  if (over <= found.overflow) return;
  const wide = all("body *").filter(e => e.getBoundingClientRect().right > root.clientWidth + 0.5 && !e.closest(".scroll"));
  found.overflow = over;
  found.widest = `${when}: ` + wide.slice(0, 5).map(e => `${e.tagName}#${e.id}`).join(" ");
}

function inspect() {
  measure("at first");
  Object.assign(found, {
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    paper: getComputedStyle(document.body).backgroundColor,
    width: innerWidth,
    drawn: drawn(),
    points: all("#plane-chart [data-row]").length,
    overall: one("#readout dd").textContent,
    unlabelled: all(".chart svg").filter(s => !s.getAttribute("aria-label") || !s.querySelector("desc")?.textContent).length,
    classes: one("#classes").textContent,
    broken: 0,
  });
  for (const select of all("select"))
    for (const option of [...select.options].filter((_, i) => i < 3 || i % 4 === 0)) {
      select.value = option.value;
      select.dispatchEvent(new Event("change", { bubbles: true }));
      measure(`${select.id}=${option.textContent}`);
      found.broken += all("svg *").filter(e => [...e.attributes].some(a => /NaN|undefined|Infinity/.test(a.value))).length;
    }
  one("[name=axes][value=full]").click();
  const point = one("#plane-chart [data-row]");
  point.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
  found.chosenByKey = one("#pick-row").value === point.dataset.row;
  const heads = one("#results").tHead.rows[0].cells;
  heads[1].click();
  found.sorted = [...one("#results").tBodies[0].rows].map(r => r.cells[1].dataset.v).filter(Boolean).map(Number);
  for (const head of heads) head.click();
  for (const e of all("[data-tip]")) {
    e.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, clientX: 200, clientY: 200 }));
    if (!one("#tip").textContent) faults.push("an empty tip");
  }
  for (const e of all("#plane-chart [data-row]")) e.dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
  const box = one("#confusion-chart svg").getBoundingClientRect();
  one("#confusion-chart").dispatchEvent(new PointerEvent("pointermove", { clientX: box.right - 6, clientY: box.bottom - 8 }));
  found.hover = one("#confusion-hover").textContent;
  for (const e of all("details")) e.open = true;
  measure("at last");
  found.after = drawn();
}

addEventListener("load", () => {
  try {
    inspect();
  } catch (e) {
    faults.push(`the inspector: ${e.stack}`);
  }
  root.dataset.found = JSON.stringify({ ...found, faults });
  if (parent !== window) parent.postMessage(root.dataset.found, "*");
});
