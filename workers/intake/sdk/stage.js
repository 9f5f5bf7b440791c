/* Which items are on the page now: by what they ask for, one in each place, the highest priority first. */

import { find } from "./dom.js";
import { FORMS, Shown } from "./forms.js";
import { backOff, sleep } from "./store.js";

const LOOK_MS = 300; // how soon a changed address or a new element is noticed
const KEPT = 300; // items and events that are remembered

/** Where an item stands; one at a time in each place. */
function place(item) {
  if (item.form === "banner") return `banner ${item.position ?? "top"}`;
  if (item.form === "modal" || item.form === "tour") return "middle";
  return item.form === "tooltip" ? "tooltip" : "corner";
}

/** Whether the address of the page fits a pattern in which * stands for anything. */
export function fits(pattern, page) {
  const path = page.pathname.replace(/(.)\/$/, "$1");
  const more = /[?#]/.test(pattern) ? page.search + page.hash : "";
  const address = (pattern.startsWith("/") ? "" : page.origin) + path + more;
  const escaped = pattern.replace(/(.)\/$/, "$1").replace(/[.+?^${}()|[\]\\]/g, "\\$&").replace(/\*+/g, ".*");
  return new RegExp(`^${escaped}$`).test(address);
}

/** Steps of a checklist that ask for an event, or were done before, are what it is about. */
const doneBefore = (item) => item.steps.flatMap((step, number) => (step.done ? [number] : []));

const usable = (item) => FORMS[item.form] && (!["tour", "checklist"].includes(item.form) || item.steps?.length) && (item.form !== "tooltip" || item.show?.selector);

export class Stage {
  /** `send(said)` gives true when the gateway has kept it; `emit(kind, detail)` false when the page objects. */
  constructor({ local, session, send, emit, look }) {
    Object.assign(this, { local, session, send, emit, look });
    this.items = [];
    this.shown = new Map();
    this.since = new Map(); // when all but its delay held, by item
    this.skewMs = 0;
    this.timer = setInterval(() => document.hidden || this.settle(), LOOK_MS);
    this.pump();
  }

  /** A new state of the feed. */
  take(items, nowMs) {
    this.items = items.filter(usable);
    this.skewMs = (nowMs ?? Date.now()) - Date.now();
    this.settle();
  }

  /** Show an item that is in no feed, as designers do; nothing of it is told or remembered. */
  preview(item) {
    const own = { id: `preview-${item.form}`, message_id: "preview", ...item, preview: true };
    this.shown.get(own.id)?.remove();
    for (const [id, other] of this.shown) if (place(other.item) === place(own)) this.hide(id);
    this.shown.set(own.id, new Shown(own, this.page()));
  }

  stop() {
    this.stopped = true;
    clearInterval(this.timer);
    this.items = [];
    [...this.shown.keys()].forEach((id) => this.hide(id));
  }

  /** An event was tracked on this page: items may wait for it, and steps be done by it. */
  happened(name) {
    this.remember(this.session, "events", name);
    for (const item of [...this.items, ...[...this.shown.values()].map((shown) => shown.item)]) {
      if (item.form !== "checklist") continue;
      const numbers = item.steps.flatMap((step, number) => (step.event === name ? [number] : []));
      if (numbers.length) this.local.set(`done.${item.id}`, [...new Set([...this.local.get(`done.${item.id}`, []), ...numbers])]);
      if (numbers.length) this.shown.get(item.id)?.update();
    }
    this.settle();
  }

  /** The numbers of a checklist's finished steps. */
  done(item) {
    return new Set([...doneBefore(item), ...this.local.get(`done.${item.id}`, [])]);
  }

  /** Take off the page what may not be there any more, and show what may. */
  settle() {
    const byId = new Map(this.items.map((item) => [item.id, item]));
    for (const [id, { item }] of this.shown) {
      if (!item.preview && !(byId.has(id) && this.alive(item) && this.suits(item))) this.hide(id);
    }
    const taken = new Set([...this.shown.values()].map(({ item }) => place(item)));
    const order = (one, other) => (other.priority ?? 0) - (one.priority ?? 0) || other.created_at_ms - one.created_at_ms;
    for (const item of [...this.items].sort(order)) {
      if (taken.has(place(item)) || this.over(item) || !this.alive(item) || !this.due(item)) continue;
      taken.add(place(item));
      this.shown.set(item.id, new Shown(item, this.page()));
      this.tell(item, "seen");
      if (item.once === "session") this.remember(this.session, "hidden", item.id);
      if (item.once === "user") this.remember(this.local, "over", item.id);
    }
  }

  hide(id) {
    this.shown.get(id)?.remove();
    this.shown.delete(id);
  }

  alive(item) {
    return !item.expires_at_ms || Date.now() + this.skewMs < item.expires_at_ms;
  }

  /** Whether the person is through with it. */
  over(item) {
    if (this.shown.has(item.id)) return true;
    if (item.once === "user" && item.seen_at_ms) return true;
    return this.local.get("over", []).includes(item.id) || this.session.get("hidden", []).includes(item.id);
  }

  /** Whether the page is one that the item asks for, now. */
  suits({ show }) {
    if (!show) return true;
    if (show.url && !fits(show.url, location)) return false;
    if (show.event && !this.session.get("events", []).includes(show.event)) return false;
    return !show.selector || Boolean(find(show.selector));
  }

  due(item) {
    if (!this.suits(item)) {
      this.since.delete(item.id);
      return false;
    }
    if (!this.since.has(item.id)) this.since.set(item.id, Date.now());
    return Date.now() - this.since.get(item.id) >= (item.show?.delay_ms ?? 0);
  }

  /** What a form needs of the page. */
  page() {
    return {
      ...this.look,
      tell: (item, kind, url) => this.tell(item, kind, url),
      done: (item) => this.done(item),
      end: (item, kind) => {
        if (kind === "dismissed") this.tell(item, kind);
        const stays = kind === "clicked" && item.form === "banner" && item.once !== "user";
        if (!item.preview) this.remember(stays ? this.session : this.local, stays ? "hidden" : "over", item.id);
        this.hide(item.id);
        this.settle();
      },
    };
  }

  remember(store, key, name) {
    const names = store.get(key, []).filter((one) => one !== name);
    store.set(key, [...names, name].slice(-KEPT));
  }

  /** Tell the page, and once per item and kind the gateway; false when the page objects to a click. */
  tell(item, kind, url) {
    const goes = this.emit({ seen: "show", clicked: "click", dismissed: "dismiss" }[kind], { item, url });
    const name = `${item.message_id}:${kind}`;
    if (item.preview || this.local.get("told", []).includes(name)) return goes;
    this.remember(this.local, "told", name);
    const said = { message_id: item.message_id, type: kind, ...(url && { url }) };
    this.local.set("said", [...this.local.get("said", []), said].slice(-KEPT));
    this.pump();
    return goes;
  }

  /** Send what was said and is not kept yet, one after the other. */
  async pump() {
    if (this.pumping) return;
    this.pumping = true;
    for (let failures = 0, said; !this.stopped && (said = this.local.get("said", [])[0]); ) {
      if (await this.send(said)) {
        failures = 0;
        const same = (one) => one.message_id === said.message_id && one.type === said.type;
        this.local.set("said", this.local.get("said", []).filter((one) => !same(one)));
      } else {
        failures += 1;
        await sleep(backOff(failures));
      }
    }
    this.pumping = false;
  }
}
