// What a page owes to people who use a screen reader, a keyboard, or eyes that need contrast. Returns what is wrong.
const wrong = [];
const all = (selector) => [...document.querySelectorAll(selector)];
const seen = (node) => node.checkVisibility() && node.getClientRects().length > 0;
const where = (node) => `${node.tagName.toLowerCase()}${node.id ? `#${node.id}` : ""}.${node.className?.baseVal ?? node.className}: ${node.textContent.slice(0, 40)}`;

function nameOf(node) {
  const by = node.getAttribute("aria-labelledby");
  const labels = node.labels ? [...node.labels].map((label) => label.textContent).join(" ") : "";
  return (node.getAttribute("aria-label") ?? (by ? document.getElementById(by)?.textContent : null) ?? (labels || node.textContent)).trim();
}

for (const node of all("a, button, input, select, dialog[open], section, [role=region], svg[role=img]")) {
  if (seen(node) && nameOf(node) === "") wrong.push(`no name: ${where(node)}`);
}
for (const node of all("th")) if (!node.scope) wrong.push(`no scope: ${where(node)}`);
for (const node of all("table")) if (!node.caption) wrong.push(`no caption: ${where(node)}`);
for (const landmark of ["main", "header", "nav", "main h1"]) {
  if (all(landmark).filter((node) => node.checkVisibility()).length !== 1) wrong.push(`not one ${landmark}`);
}
if (!document.documentElement.lang) wrong.push("no language");
if (all("[aria-live=polite]").length === 0) wrong.push("nothing is told");
const ids = all("[id]").map((node) => node.id);
for (const id of new Set(ids)) if (ids.filter((each) => each === id).length > 1) wrong.push(`id ${id} is there twice`);
for (const node of all("[tabindex]")) if (node.tabIndex > 0) wrong.push(`an order of its own: ${where(node)}`);

// Contrast by WCAG: 4.5 to 1 for text. A canvas turns any colour into numbers.
const brush = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
function numbersOf(colour) {
  brush.clearRect(0, 0, 1, 1);
  brush.fillStyle = colour;
  brush.fillRect(0, 0, 1, 1);
  return [...brush.getImageData(0, 0, 1, 1).data];
}
function luminance(colour) {
  const [red, green, blue] = colour.slice(0, 3).map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
function paperOf(node) {
  for (let each = node; each; each = each.parentElement) {
    const colour = numbersOf(getComputedStyle(each).backgroundColor);
    if (colour[3] === 255) return colour;
  }
  return [255, 255, 255, 255];
}
for (const node of all("body *")) {
  const own = [...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.textContent.trim() !== "");
  if (!own || !seen(node) || node.closest("svg, script, style, .unseen, .skip")) continue;
  const ink = luminance(numbersOf(getComputedStyle(node).color));
  const paper = luminance(paperOf(node));
  const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
  if (ratio < 4.5) wrong.push(`contrast ${ratio.toFixed(2)}: ${where(node)}`);
}
return wrong;
