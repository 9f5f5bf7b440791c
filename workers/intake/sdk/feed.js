/* A person's in-app feed: server-sent events over fetch, so that the token is in no URL; else long polls. */

import { backOff, sleep, warn } from "./store.js";

const FIRST_BYTE_MS = 10_000; // a proxy that holds a stream back shows nothing for so long
const SILENCE_MS = 45_000; // the gateway says something every 15 s
const POLL_MS = 40_000;
const POLLS_BEFORE_STREAM = 20;

class Failed extends Error {
  constructor(status, waitMs = 0) {
    super(`feed answered ${status}`);
    this.status = status;
    this.waitMs = waitMs;
  }
}

export class Feed {
  /** `token` is a text, or a function that fetches one from the page's own backend. */
  constructor({ host, token, onItems }) {
    this.base = `${host}/v1/in-app`;
    this.source = token;
    this.onItems = onItems;
    this.cursor = null;
    this.polls = 0; // long polls still to do before a stream is tried
    this.silent = 0; // streams in a row that brought nothing
    this.running = false;
    this.abort = new AbortController();
    this.seen = () => this.wake?.();
    document.addEventListener("visibilitychange", this.seen);
  }

  start() {
    this.running = true;
    this.loop();
  }

  stop() {
    this.running = false;
    this.abort.abort();
    document.removeEventListener("visibilitychange", this.seen);
    this.wake?.();
  }

  async token(fresh) {
    if (typeof this.source !== "function") return this.source;
    if (fresh || !this.held) this.held = await this.source();
    return this.held;
  }

  async loop() {
    let failures = 0;
    let fresh = false;
    while (this.running) {
      // Background tabs hold no connection: browsers allow six to one host.
      if (document.hidden) await new Promise((wake) => (this.wake = wake));
      if (!this.running) return;
      try {
        const token = await this.token(fresh);
        fresh = false;
        if (this.polls > 0) await this.poll(token);
        else await this.stream(token);
        failures = 0;
        if (this.polls === 0) await sleep(300 + Math.random() * 700);
      } catch (error) {
        if (!this.running) return;
        if (error.status === 401) {
          if (typeof this.source !== "function" || failures > 4) return warn("the feed token is not valid; give init() a function that fetches a new one");
          fresh = true;
        }
        failures += 1;
        await sleep(Math.max(error.waitMs ?? 0, backOff(failures)));
      }
    }
  }

  async open(path, token, headers) {
    this.abort = new AbortController();
    const answer = await fetch(this.base + path, {
      headers: { authorization: `Bearer ${token}`, ...headers },
      signal: this.abort.signal,
      cache: "no-store",
      credentials: "omit",
    });
    if (!answer.ok) throw new Failed(answer.status, 1000 * Number(answer.headers.get("retry-after") || 0));
    return answer;
  }

  /** Read one stream to its end. Without a byte twice in a row, long polls take over for a while. */
  async stream(token) {
    let heard = false;
    let timer = setTimeout(() => this.abort.abort(), FIRST_BYTE_MS);
    const hide = () => document.hidden && this.abort.abort();
    document.addEventListener("visibilitychange", hide);
    try {
      const headers = { accept: "text/event-stream", ...(this.cursor && { "last-event-id": this.cursor }) };
      const answer = await this.open("/stream", token, headers);
      const reader = answer.body.getReader();
      const decoder = new TextDecoder();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        heard = true;
        this.silent = 0;
        clearTimeout(timer);
        timer = setTimeout(() => this.abort.abort(), SILENCE_MS);
        const events = (rest + decoder.decode(value, { stream: true })).split("\n\n");
        rest = events.pop();
        events.forEach((event) => this.take(event));
      }
    } catch (error) {
      if (!heard && !document.hidden && !(error.status < 500)) {
        this.silent += 1;
        if (this.silent >= 2) this.polls = POLLS_BEFORE_STREAM;
      }
      throw error;
    } finally {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", hide);
    }
  }

  take(event) {
    const data = event.split("\n").filter((line) => line.startsWith("data: "));
    if (data.length) this.show(JSON.parse(data.map((line) => line.slice(6)).join("\n")));
  }

  async poll(token) {
    this.polls -= 1;
    const timer = setTimeout(() => this.abort.abort(), POLL_MS);
    try {
      const since = this.cursor ? `?since=${encodeURIComponent(this.cursor)}` : "";
      const answer = await this.open(`/feed${since}`, token, {});
      this.show(await answer.json());
    } finally {
      clearTimeout(timer);
    }
  }

  show(feed) {
    this.cursor = feed.cursor;
    this.onItems(feed.items, feed.now_ms);
  }

  /** Tell what the person did with an item; true when the gateway has kept it. */
  async tell(said) {
    try {
      const token = await this.token(false);
      const answer = await fetch(`${this.base}/events`, {
        method: "POST",
        body: JSON.stringify(said),
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        keepalive: true,
        credentials: "omit",
      });
      return answer.ok || (answer.status >= 400 && answer.status < 500 && ![401, 408, 429].includes(answer.status));
    } catch {
      return false;
    }
  }
}
