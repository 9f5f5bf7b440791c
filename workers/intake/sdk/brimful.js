/*
 * Brimful in the browser: product events to the gateway, and a person's in-app messages on the page.
 * docs/in-app.md tells how to use it. No dependencies; nothing is evaluated; texts are never HTML.
 */

import { Feed } from "./feed.js";
import { Queue } from "./queue.js";
import { Stage } from "./stage.js";
import { Store, VERSION, uuid, warn } from "./store.js";

const LABELS = {
  close: "Close",
  later: "Not now",
  next: "Next",
  back: "Back",
  done: "Done",
  step: "{n} of {of}",
  progress: "{n} of {of}",
  complete: "All done",
  isDone: " (done)",
  toDo: " (to do)",
  team: "The team",
};

const local = new Store("localStorage");
const session = new Store("sessionStorage");
let queue = null;
let feed = null;
let stage = null;
let options = null;

/** Run `act`; what goes wrong in here is told on the console and never breaks the page. */
function safely(act) {
  try {
    return act();
  } catch (error) {
    warn(error);
  }
}

function ids() {
  if (!local.get("anonymousId")) local.set("anonymousId", uuid());
  const userId = local.get("userId");
  return { anonymousId: local.get("anonymousId"), ...(userId && { userId }) };
}

function call(type, more) {
  if (!queue) return warn(`${type}: call init() with a writeKey first`);
  const groupId = local.get("groupId");
  queue.add({ type, ...ids(), ...more, ...(groupId && type !== "group" && { context: { groupId } }) });
}

/** The page may object: `brimful.on("click", (event) => event.preventDefault())`. */
function emit(kind, detail) {
  return window.dispatchEvent(new CustomEvent(`brimful:${kind}`, { detail, cancelable: true }));
}

function whenReady(act) {
  if (document.body) act();
  else document.addEventListener("DOMContentLoaded", act, { once: true });
}

const api = {
  VERSION,

  /** Begin. `host` is the gateway; with `writeKey` events are sent, with `token` the feed is shown. */
  init({ host, writeKey, token, theme = "auto", nonce, labels } = {}) {
    if (options) api.close();
    options = { host: new URL(host ?? "", location.href).href.replace(/\/+$/, "") };
    if (writeKey) queue = new Queue({ host: options.host, writeKey, local });
    whenReady(() => {
      if (!options) return;
      const look = { theme, nonce, labels: { ...LABELS, ...labels } };
      const send = (said) => (feed ? feed.tell(said) : Promise.resolve(false));
      if (token) feed = new Feed({ host: options.host, token, onItems: (items, nowMs) => safely(() => stage?.take(items, nowMs)) });
      stage = new Stage({ local, session, send, emit, look });
      feed?.start();
    });
  },

  /** Who it is. A user of another id takes over what the browser knows of nobody else. */
  identify(userId, traits = {}) {
    if (typeof userId === "object") [userId, traits] = [null, userId];
    if (userId) local.set("userId", String(userId));
    call("identify", { traits });
  },

  /** Something happened: to the gateway, and to items that wait for it on this page. */
  track(event, properties = {}) {
    call("track", { event, properties });
    stage?.happened(event);
  },

  /** A page was looked at. */
  page(name, properties = {}) {
    if (typeof name === "object") [name, properties] = [undefined, name];
    const { href: url, pathname: path, search } = location;
    call("page", { ...(name && { name }), properties: { url, path, search, title: document.title, referrer: document.referrer, ...properties } });
  },

  /** Which account the person acts for from now on. */
  group(groupId, traits = {}) {
    local.set("groupId", String(groupId));
    call("group", { groupId: String(groupId), traits });
  },

  /** Show an item that is in no feed, for example while a template is written. */
  preview(item) {
    stage?.preview(item);
  },

  /** Listen to show, click or dismiss; the event's detail has `item` and `url`. Gives a function that stops. */
  on(kind, listener) {
    window.addEventListener(`brimful:${kind}`, listener);
    return () => window.removeEventListener(`brimful:${kind}`, listener);
  },

  /** Send all events that wait, now; resolves when they are kept. */
  flush: () => queue?.flush() ?? Promise.resolve(),

  /** Log out: the next person on this browser is somebody else. */
  reset() {
    api.close();
    ["userId", "groupId", "anonymousId", "said", "told", "over"].forEach((key) => local.remove(key));
    local.keys("done.").forEach((key) => local.remove(key));
    ["events", "hidden"].forEach((key) => session.remove(key));
  },

  /** Stop: connections end, messages leave the page; events that wait are still sent. */
  close() {
    feed?.stop();
    stage?.stop();
    queue?.stop();
    feed = stage = queue = options = null;
  },
};

/** Every call is safe: a mistake is a word on the console, not an exception in the page. */
export const brimful = Object.fromEntries(
  Object.entries(api).map(([name, value]) => [name, typeof value === "function" ? (...given) => safely(() => value(...given)) : value]),
);
