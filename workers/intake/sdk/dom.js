/* Building and placing elements. Texts are set as text, never as HTML; links lead to http, https or mail. */

import { warn } from "./store.js";

const LINK = /\[([^\]\n]{1,200})\]\(([^)\s]{1,2000})\)/g;
const MARGIN = 8;

/** The address if it is safe to follow, else null. Relative ones are the page's own. */
export function safeUrl(url) {
  try {
    const { protocol, href } = new URL(url, location.href);
    return ["http:", "https:", "mailto:"].includes(protocol) ? href : null;
  } catch {
    return null;
  }
}

/** An element: properties in `given` are attributes, listeners where they begin with "on". */
export function make(tag, given = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Paragraphs of a text; `[label](url)` in it becomes a link if it is safe, else its label. */
export function paragraphs(text, given = {}) {
  const lines = (text ?? "").split(/\n\s*\n/).filter((part) => part.trim());
  return make("div", given, ...lines.map((part) => make("p", {}, ...inline(part.trim()))));
}

function inline(text) {
  const parts = [];
  let from = 0;
  for (const found of text.matchAll(LINK)) {
    parts.push(text.slice(from, found.index));
    const href = safeUrl(found[2]);
    parts.push(href ? make("a", { href, rel: "noopener" }, found[1]) : found[1]);
    from = found.index + found[0].length;
  }
  return [...parts, text.slice(from)];
}

/** The first visible element of a selector, or null; a selector that is none is told once. */
const told = new Set();
export function find(selector) {
  try {
    return [...document.querySelectorAll(selector)].find(isVisible) ?? null;
  } catch {
    if (!told.has(selector)) warn("this is no CSS selector:", selector);
    told.add(selector);
    return null;
  }
}

export function isVisible(element) {
  return element.isConnected && element.getClientRects().length > 0 && (element.checkVisibility?.({ visibilityProperty: true }) ?? true);
}

/** Keep `panel` beside what `target()` gives, frame by frame, until the returned function is called. */
export function follow(panel, target, spotlight) {
  let frame;
  let last = "";
  const step = () => {
    const element = target();
    const rect = element?.getBoundingClientRect();
    const now = rect ? [rect.x, rect.y, rect.width, rect.height, innerWidth, innerHeight, panel.offsetHeight].join() : `none,${innerWidth},${innerHeight}`;
    if (now !== last) {
      last = now;
      place(panel, rect);
      if (spotlight) light(spotlight, rect);
    }
    frame = requestAnimationFrame(step);
  };
  step();
  return () => cancelAnimationFrame(frame);
}

/** Below the rectangle, above it where there is more room, inside the window always; without one in the middle. */
function place(panel, rect) {
  const { offsetWidth: width, offsetHeight: height } = panel;
  const within = (value, most) => Math.max(MARGIN, Math.min(value, most - MARGIN));
  panel.classList.toggle("free", !rect);
  if (!rect) {
    panel.style.left = `${Math.max(MARGIN, (innerWidth - width) / 2)}px`;
    panel.style.top = `${Math.max(MARGIN, (innerHeight - height) / 2)}px`;
    return;
  }
  const gap = 12;
  const below = rect.bottom + gap + height <= innerHeight - MARGIN || rect.top < innerHeight - rect.bottom;
  const middle = rect.left + rect.width / 2;
  const left = within(middle - width / 2, innerWidth - width);
  const top = below ? rect.bottom + gap : rect.top - gap - height;
  panel.classList.toggle("above", !below);
  panel.style.left = `${left}px`;
  panel.style.top = `${within(top, innerHeight - height)}px`;
  panel.style.setProperty("--arrow", `${Math.max(18, Math.min(middle - left, width - 18))}px`);
}

function light(spotlight, rect) {
  spotlight.classList.toggle("dim", !rect);
  const { left, top, width, height } = rect ?? { left: innerWidth / 2, top: innerHeight / 2, width: 0, height: 0 };
  const pad = rect ? 6 : 0;
  Object.assign(spotlight.style, {
    left: `${left - pad}px`,
    top: `${top - pad}px`,
    width: `${width + 2 * pad}px`,
    height: `${height + 2 * pad}px`,
  });
}

/** Tab and Shift+Tab go round inside `box`. */
export function trap(box, root) {
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Tab") return;
    const stops = [...box.querySelectorAll("a[href], button:not([disabled]), input, [tabindex='0']")].filter(isVisible);
    if (!stops.length) return event.preventDefault();
    const at = stops.indexOf(root.activeElement);
    const next = event.shiftKey ? (at <= 0 ? stops.length - 1 : at - 1) : at === stops.length - 1 ? 0 : at + 1;
    event.preventDefault();
    stops[next].focus();
  });
}
