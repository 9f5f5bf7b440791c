/* Small things that every part needs. No part of the SDK throws into the page. */

export const VERSION = "1.0.0";

export const warn = (...words) => console.warn("[brimful]", ...words);

export const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));

/** Exponential back-off with full jitter: half to all of 1 s, 2 s, 4 s ... 60 s. */
export const backOff = (failures) => Math.min(60_000, 500 * 2 ** failures) * (0.5 + Math.random() / 2);

/** A random UUID, also on pages without https, where crypto.randomUUID does not exist. */
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}

/** JSON under keys of localStorage or sessionStorage; in memory where the browser refuses or is full. */
export class Store {
  constructor(name) {
    this.memory = new Map();
    try {
      this.area = window[name];
      this.area.getItem("brimful.");
    } catch {
      this.area = null;
    }
  }

  get(key, otherwise = null) {
    if (this.memory.has(key)) return this.memory.get(key);
    try {
      return JSON.parse(this.area.getItem(`brimful.${key}`)) ?? otherwise;
    } catch {
      return otherwise;
    }
  }

  set(key, value) {
    try {
      this.area.setItem(`brimful.${key}`, JSON.stringify(value));
      this.memory.delete(key);
    } catch {
      this.memory.set(key, value);
    }
  }

  remove(key) {
    this.memory.delete(key);
    try {
      this.area.removeItem(`brimful.${key}`);
    } catch {
      /* Nothing was stored. */
    }
  }

  /** The keys that begin with `prefix`. */
  keys(prefix) {
    try {
      const names = Object.keys(this.area).filter((name) => name.startsWith(`brimful.${prefix}`));
      return names.map((name) => name.slice("brimful.".length));
    } catch {
      return [];
    }
  }
}
