/* The forms: each shows one item in a shadow root of its own, and tells what the person does with it. */

import { find, follow, make, paragraphs, safeUrl, trap } from "./dom.js";
import { CSS } from "./style.js";

const ANNOUNCE_MS = 150; // screen readers notice what changes after a live region is there
const WAIT_FOR_STEP_MS = 5_000; // a tour shows a step in the middle where its element does not come

let sheet;

/** Looks for every root: no element, so that no Content-Security-Policy stands in the way; else with a nonce. */
function dress(root, nonce) {
  try {
    if (!sheet) {
      sheet = new CSSStyleSheet();
      sheet.replaceSync(CSS);
    }
    root.adoptedStyleSheets = [sheet];
  } catch {
    const style = make("style", { nonce });
    style.textContent = CSS;
    root.append(style);
  }
}

/**
 * One item on the page. `page` has `theme`, `nonce` and `labels`, `tell(item, kind, url)`, which says whether
 * the link may be followed, `end(item, kind)`, which is called when the person is through with it, and
 * `done(item)`, the numbers of a checklist's finished steps.
 */
export class Shown {
  constructor(item, page) {
    this.item = item;
    this.page = page;
    this.before = document.activeElement;
    this.ends = [];
    const direction = getComputedStyle(document.documentElement).direction;
    this.host = make("brimful-item", { form: item.form, at: item.position ?? "top", theme: page.theme, dir: direction, "data-id": item.id });
    this.root = this.host.attachShadow({ mode: "open" });
    dress(this.root, page.nonce);
    if (item.form === "banner" && item.position !== "bottom") document.body.prepend(this.host);
    else document.body.append(this.host);
    FORMS[item.form](this);
  }

  /** Take it off the page; the focus goes back to where it was, if it was in here. */
  remove() {
    const focused = document.activeElement === this.host;
    this.ends.forEach((end) => end());
    this.host.remove();
    if (focused && this.before?.isConnected) this.before.focus?.();
  }

  dismiss() {
    this.page.end(this.item, "dismissed");
  }

  /** Escape dismisses, wherever the focus is (`everywhere`), or while it is in here. */
  escape(everywhere) {
    if (this.item.dismissible === false) return;
    const where = everywhere ? document : this.root;
    const close = (event) => {
      if (event.key !== "Escape" || event.defaultPrevented || this.covered()) return;
      event.preventDefault();
      this.dismiss();
    };
    where.addEventListener("keydown", close);
    this.ends.push(() => where.removeEventListener("keydown", close));
  }

  /** Whether a dialog is in front of it. */
  covered() {
    return this.item.form !== "modal" && document.querySelector("brimful-item[form=modal]") !== null;
  }

  /** Say it to who cannot see it, without taking the focus away. */
  announce(...texts) {
    const status = make("div", { role: "status", "aria-live": "polite", class: "sr" });
    this.root.append(status);
    const timer = setTimeout(() => (status.textContent = texts.filter(Boolean).join(". ")), ANNOUNCE_MS);
    this.ends.push(() => clearTimeout(timer));
  }

  title() {
    return make("h2", { id: "title" }, this.item.title);
  }

  body() {
    return this.item.body ? paragraphs(this.item.body, { class: "body", id: "body" }) : null;
  }

  close() {
    if (this.item.dismissible === false) return null;
    return make("button", { class: "close", type: "button", "aria-label": this.page.labels.close, onclick: () => this.dismiss() });
  }

  /** The link of an item or of a step; null where there is none that is safe. */
  link(from, css, stays) {
    const href = from.cta_url && safeUrl(from.cta_url);
    if (!href || !from.cta_label) return null;
    const onclick = (event) => {
      if (!this.page.tell(this.item, "clicked", from.cta_url)) event.preventDefault();
      if (!stays) this.page.end(this.item, "clicked");
    };
    return make("a", { class: css, href, onclick }, from.cta_label);
  }

  /** A picture above the text; the item is shown without it where it does not load. */
  picture() {
    const src = this.item.image_url && safeUrl(this.item.image_url);
    return src ? make("img", { src, alt: this.item.image_alt ?? "", onerror: (event) => event.target.remove() }) : null;
  }

  row(...children) {
    return children.some(Boolean) ? make("div", { class: "row" }, ...children) : null;
  }
}

function banner(shown) {
  const text = make("div", { class: "text" }, shown.title(), shown.body());
  shown.root.append(make("section", { class: "banner", "aria-labelledby": "title" }, text, shown.link(shown.item, "cta"), shown.close()));
  shown.escape(false);
  shown.announce(shown.item.title, shown.item.body);
}

function post(shown) {
  const head = make("div", { class: "head" }, shown.title(), shown.close());
  const card = make("div", { class: "card" }, head, shown.body(), shown.row(shown.link(shown.item, "cta")));
  shown.root.append(make("section", { class: "box", "aria-labelledby": "title" }, shown.picture(), card));
  shown.escape(false);
  shown.announce(shown.item.title, shown.item.body);
}

function chat(shown) {
  const { author, title } = shown.item;
  const name = make("p", { class: "author" }, author ?? shown.page.labels.team);
  const face = make("div", { class: "face", "aria-hidden": "true" }, Array.from(author ?? title)[0].toUpperCase());
  const head = make("div", { class: "head" }, name, shown.close());
  const card = make("div", { class: "card" }, head, shown.title(), shown.body(), shown.row(shown.link(shown.item, "cta")));
  shown.root.append(make("section", { class: "chat", "aria-labelledby": "title" }, face, make("div", { class: "box" }, card)));
  shown.escape(false);
  shown.announce(author, title, shown.item.body);
}

function modal(shown) {
  const { item, page } = shown;
  const stays = item.dismissible === false;
  const head = make("div", { class: "head" }, shown.title(), shown.close());
  const later = stays ? null : make("button", { class: "plain", type: "button", onclick: () => shown.dismiss() }, page.labels.later);
  const link = shown.link(item, "cta");
  const card = make("div", { class: "card" }, head, shown.body(), shown.row(link, link && later));
  const dialog = make("dialog", { class: "box", tabindex: "-1", closedby: "none", "aria-modal": "true", "aria-labelledby": "title", "aria-describedby": "body" }, shown.picture(), card);
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.addEventListener("click", (event) => event.target === dialog && outside(event, dialog) && !stays && shown.dismiss());
  shown.root.append(dialog);
  shown.escape(true);
  trap(dialog, shown.root);
  const overflow = document.documentElement.style.overflow;
  document.documentElement.style.overflow = "hidden";
  shown.ends.push(() => (document.documentElement.style.overflow = overflow));
  dialog.showModal();
  dialog.focus();
}

function outside({ clientX: x, clientY: y }, dialog) {
  const rect = dialog.getBoundingClientRect();
  return x < rect.left || x > rect.right || y < rect.top || y > rect.bottom;
}

function tooltip(shown) {
  const head = make("div", { class: "head" }, shown.title(), shown.close());
  const card = make("div", { class: "card" }, head, shown.body(), shown.row(shown.link(shown.item, "cta")));
  const panel = make("section", { class: "panel box", "aria-labelledby": "title" }, card);
  shown.root.append(panel);
  shown.escape(true);
  shown.announce(shown.item.title, shown.item.body);
  shown.ends.push(follow(panel, () => find(shown.item.show.selector)));
}

function tour(shown) {
  const { labels } = shown.page;
  const { steps } = shown.item;
  const spot = make("div", { class: "spot", "aria-hidden": "true" });
  const panel = make("section", { class: "panel box", role: "dialog", tabindex: "-1", "aria-labelledby": "title", "aria-describedby": "body" });
  shown.root.append(spot, panel);
  shown.escape(true);
  let at = -1;
  let stop = () => {};
  shown.ends.push(() => stop());

  function go(to) {
    if (to < 0) return;
    if (to >= steps.length) return shown.dismiss();
    at = to;
    stop();
    const step = steps[at];
    const last = at === steps.length - 1;
    const link = shown.link(step, "cta");
    const count = make("span", { class: "count" }, labels.step.replace("{n}", at + 1).replace("{of}", steps.length));
    const back = at > 0 ? make("button", { class: "plain", type: "button", onclick: () => go(at - 1) }, labels.back) : null;
    const next = make("button", { class: link ? "plain" : "cta", type: "button", onclick: () => go(at + 1) }, last ? labels.done : labels.next);
    const head = make("div", { class: "head" }, make("h2", { id: "title" }, step.title), shown.close());
    const body = step.body ? paragraphs(step.body, { class: "body", id: "body" }) : null;
    panel.replaceChildren(make("div", { class: "card" }, head, body, make("div", { class: "row end" }, count, back, next, link)));
    const began = Date.now();
    let brought = false;
    const target = () => {
      const element = step.selector ? find(step.selector) : null;
      if (element && !brought && Date.now() - began < WAIT_FOR_STEP_MS) {
        brought = true;
        element.scrollIntoView({ block: "center", behavior: calm() ? "auto" : "smooth" });
      }
      return element;
    };
    stop = follow(panel, target, spot);
    panel.focus({ preventScroll: true });
  }

  panel.addEventListener("keydown", (event) => {
    const ahead = shown.host.dir === "rtl" ? "ArrowLeft" : "ArrowRight";
    if (event.key === ahead && at < steps.length - 1) go(at + 1);
    else if (event.key.startsWith("Arrow") && ["ArrowLeft", "ArrowRight"].includes(event.key) && event.key !== ahead) go(at - 1);
  });
  go(0);
}

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

function checklist(shown) {
  const { item, page } = shown;
  const count = make("span", { class: "count" });
  const bar = make("progress", { max: item.steps.length, "aria-label": item.title });
  const list = make("ol", { id: "steps" });
  const body = make("div", {}, shown.body(), bar, list);
  const fold = make("button", { class: "fold", type: "button", "aria-expanded": "true", "aria-controls": "steps" }, shown.title(), count);
  fold.addEventListener("click", () => {
    body.hidden = !body.hidden;
    fold.setAttribute("aria-expanded", String(!body.hidden));
  });
  const card = make("div", { class: "card" }, make("div", { class: "head" }, fold, shown.close()), body);
  shown.root.append(make("section", { class: "box", "aria-labelledby": "title" }, card));
  shown.escape(false);
  const status = make("div", { role: "status", "aria-live": "polite", class: "sr" });
  shown.root.append(status);

  /** Called again whenever a step was done. */
  shown.update = () => {
    const done = page.done(item);
    bar.value = done.size;
    const words = page.labels.progress.replace("{n}", done.size).replace("{of}", item.steps.length);
    count.textContent = words;
    status.textContent = done.size === item.steps.length ? page.labels.complete : `${item.title}: ${words}`;
    list.replaceChildren(...item.steps.map((step, number) => line(shown, step, done.has(number))));
  };
  shown.update();
}

function line(shown, step, done) {
  const { labels } = shown.page;
  const state = make("span", { class: "sr" }, done ? labels.isDone : labels.toDo);
  const text = make("div", {}, make("strong", {}, step.title), state);
  if (!done && step.body) text.append(paragraphs(step.body, { class: "body" }));
  const link = done ? null : shown.link(step, "", true);
  if (link) text.append(link);
  return make("li", { class: done ? "done" : null }, make("span", { class: "tick", "aria-hidden": "true" }), text);
}

export const FORMS = { banner, post, modal, tooltip, checklist, tour, chat };
