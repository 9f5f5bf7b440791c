/* Product events on their way to the gateway: kept until it has answered that they are in Kafka. */

import { VERSION, backOff, sleep, uuid, warn } from "./store.js";

const MOST_EVENTS = 500; // kept while offline; the oldest give way
const MOST_IN_BATCH = 100;
const EVENT_BYTES = 32 * 1024; // the gateway's limit for one event
const BATCH_BYTES = 400 * 1024;
const BEACON_BYTES = 60 * 1024; // browsers refuse beacons above 64 KiB
const GATHER_MS = 200;
const ORPHAN_MS = 30_000; // a queue not touched for so long is of a tab that was closed

const size = (text) => new TextEncoder().encode(text).length;

export class Queue {
  constructor({ host, writeKey, local }) {
    this.url = `${host}/v1/batch`;
    this.writeKey = writeKey;
    this.local = local;
    this.key = `queue.${uuid()}`;
    this.events = this.adopted();
    this.sending = null;
    this.timer = null;
    this.leave = () => document.visibilityState === "hidden" && this.beacon();
    document.addEventListener("visibilitychange", this.leave);
    window.addEventListener("pagehide", this.leave);
    if (this.events.length) this.soon();
  }

  /** Events that tabs which are gone have left; the engine drops what it has seen, by messageId. */
  adopted() {
    const events = [];
    for (const key of this.local.keys("queue.")) {
      const left = this.local.get(key);
      if (left && Date.now() - left.at < ORPHAN_MS) continue;
      this.local.remove(key);
      events.push(...(left?.events ?? []));
    }
    return events.slice(-MOST_EVENTS);
  }

  /** Take an event; it is sent within moments, together with its neighbours. */
  add(event) {
    const full = { messageId: uuid(), timestamp: new Date().toISOString(), ...event, context: context(event.context) };
    if (size(JSON.stringify(full)) > EVENT_BYTES) return warn("event is larger than 32 KiB and was dropped:", event.event ?? event.type);
    this.events.push(full);
    if (this.events.length > MOST_EVENTS) this.events.splice(0, this.events.length - MOST_EVENTS);
    this.keep();
    this.soon();
  }

  /** No more events come; those that wait are still sent. */
  stop() {
    document.removeEventListener("visibilitychange", this.leave);
    window.removeEventListener("pagehide", this.leave);
    if (this.events.length) this.flush();
  }

  keep() {
    if (this.events.length) this.local.set(this.key, { at: Date.now(), events: this.events });
    else this.local.remove(this.key);
  }

  soon() {
    this.timer ??= setTimeout(() => this.flush(), GATHER_MS);
  }

  /** Send all that waits; resolves when nothing does, or when the tab goes. */
  flush() {
    clearTimeout(this.timer);
    this.timer = null;
    this.sending ??= this.drain().finally(() => {
      this.sending = null;
    });
    return this.sending;
  }

  async drain() {
    let failures = 0;
    while (this.events.length) {
      const batch = this.next(BATCH_BYTES);
      const wait = await this.post(batch);
      if (wait === null) {
        failures = 0;
        this.drop(batch);
        continue;
      }
      failures += 1;
      await sleep(Math.max(wait, backOff(failures)));
      this.keep(); // tells other tabs that this one is alive
    }
  }

  /** The first events that fit into `bytes`: always at least one. */
  next(bytes) {
    const batch = [];
    let left = bytes;
    for (const event of this.events.slice(0, MOST_IN_BATCH)) {
      left -= size(JSON.stringify(event)) + 1;
      if (left < 0 && batch.length) break;
      batch.push(event);
    }
    return batch;
  }

  drop(batch) {
    const gone = new Set(batch);
    this.events = this.events.filter((event) => !gone.has(event));
    this.keep();
  }

  body(batch) {
    return JSON.stringify({ batch, sentAt: new Date().toISOString(), writeKey: this.writeKey });
  }

  /** null when the batch is done with; else milliseconds to wait before it is tried again. */
  async post(batch) {
    // As text, so that browsers ask for no permission before each request; without credentials, so that they do not
    // ask the person for a password where the write key is wrong.
    const headers = { "content-type": "text/plain" };
    const body = this.body(batch);
    let answer;
    try {
      answer = await fetch(this.url, { method: "POST", body, headers, credentials: "omit", keepalive: size(body) < BEACON_BYTES });
    } catch {
      return 0;
    }
    if (answer.ok) {
      const said = await answer.json().catch(() => ({}));
      if (said.rejected_count) warn(`${said.rejected_count} events were rejected:`, said.rejected);
      return null;
    }
    if (answer.status === 408 || answer.status === 429 || answer.status >= 500) return 1000 * (Number(answer.headers.get("retry-after")) || 0);
    warn(`the gateway refused events (${answer.status}):`, await answer.text().catch(() => ""));
    return null;
  }

  /** The tab goes away: what waits is handed to the browser, and what it does not take stays stored. */
  beacon() {
    while (this.events.length) {
      const batch = this.next(BEACON_BYTES - 1024);
      if (!navigator.sendBeacon?.(this.url, new Blob([this.body(batch)], { type: "text/plain" }))) return;
      this.drop(batch);
    }
  }
}

function context(more) {
  const { href, pathname, search } = location;
  return {
    library: { name: "brimful.js", version: VERSION },
    locale: navigator.language,
    timezone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    userAgent: navigator.userAgent,
    page: { url: href, path: pathname, search, title: document.title, referrer: document.referrer },
    ...more,
  };
}
