// What a plugin in JavaScript builds on. `coffer plugin build` writes this file anew each time, from the
// server's own release; what a plugin may import besides stands in wit/coffer.wit beside it.

import clock from "coffer:plugin/clock@1.0.0";
import configuration from "coffer:plugin/config@1.0.0";
import context from "coffer:plugin/context@1.0.0";
import crypto from "coffer:plugin/crypto@1.0.0";
import log from "coffer:plugin/log@1.0.0";
import storage from "coffer:plugin/storage@1.0.0";

export { clock, context, crypto, log, storage };

/** The text as UTF-8. */
export function bytes(text) {
  const all = [];
  for (const character of String(text)) {
    const code = character.codePointAt(0);
    if (code < 0x80) all.push(code);
    else if (code < 0x800) all.push(0xc0 | (code >> 6), 0x80 | (code & 63));
    else if (code < 0x10000) all.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    else all.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
  }
  return new Uint8Array(all);
}

/** The text that the bytes are as UTF-8; throws if they are not. */
export function text(bytes) {
  let encoded = "";
  for (const byte of bytes) encoded += "%" + (byte < 16 ? "0" : "") + byte.toString(16);
  return decodeURIComponent(encoded);
}

/** Bytes as lower-case hexadecimal digits. */
export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/**
 * A refusal, to be thrown: `throw refuse("not-found")`. Its codes stand in the server's own documentation, at
 * /docs/plugins-reference. `problems` are `{ at, code, message }`; `retryAfterMs` says when to come again.
 */
export const refuse = (code, message = "", problems = [], retryAfterMs = null) => ({
  code,
  message,
  problems,
  retryAfterMs,
});

/** JSON, as bytes. */
export const encode = (value) => bytes(JSON.stringify(value));

/** What an engine answers: an object, and what the caller should be warned of. */
export const answer = (value = {}, { warnings = [], lease = null } = {}) => ({
  body: encode(value),
  warnings,
  lease,
});

/** Whom a login has proved; which roles that gives is for the mount's mapping to say. */
export const identity = (subject, { displayName = subject, groups = [], metadata = [], limits = {}, internal } = {}) => ({
  tag: "identity",
  val: {
    subject,
    displayName,
    groups,
    metadata,
    limits: { ttlSeconds: null, maxUses: null, addresses: null, renewable: true, ...limits },
    internal: encode(internal ?? { subject }),
  },
});

/** The object in a request, in credentials, or in what was kept as `internal`. */
export function parse(body) {
  if (!body.length) return {};
  try {
    return JSON.parse(text(body));
  } catch {
    throw refuse("invalid", "must be JSON");
  }
}

/** The mount's configuration. */
export const config = () => parse(configuration.get());

/** The value under a key, or undefined. */
export function get(key) {
  const entry = storage.get(key);
  return entry ? JSON.parse(text(entry.value)) : undefined;
}

/** Keeps a value, if need be only until a moment: Unix time in milliseconds. */
export const put = (key, value, expiresAtMs = null) => storage.put(key, encode(value), expiresAtMs);

/** A page of the names below a folder, as the operation `list` answers them. */
export function page(folder, { recursive = false, after = null, limit = 100 } = {}) {
  const prefix = folder ? `${folder}/` : "";
  const all = storage.list(prefix, recursive ? null : "/", after && prefix + after, Math.min(limit, 1000));
  const names = all.keys.map((key) => key.slice(prefix.length));
  return {
    entries: names.filter((name) => !name.endsWith("/")).map((name) => ({ name })),
    folders: names.filter((name) => name.endsWith("/")),
    next: all.next && all.next.slice(prefix.length),
  };
}

/** What an interface exports, such that a mistake in it is told to the operator with its place. */
export function guarded(functions) {
  const all = Object.entries(functions).map(([name, work]) => [name, guard(work)]);
  return Object.fromEntries(all);
}

const guard = (work) => (...given) => {
  try {
    return work(...given);
  } catch (error) {
    // A refusal of ours, or one that the host answered us with: it goes out as it is.
    const { code, message, problems, retryAfterMs } = error?.payload ?? error ?? {};
    if (typeof code === "string") throw refuse(code, message, problems, retryAfterMs);
    log.emit("error", `${error}`, [{ name: "stack", value: `${error?.stack ?? ""}` }]);
    throw refuse("internal", "");
  }
};

// A sandbox has no clock, no randomness and no terminal of its own: all of them are the host's.
const NativeDate = Date;
globalThis.Date = class Date extends NativeDate {
  constructor(...given) {
    given.length ? super(...given) : super(Number(clock.nowMs()));
  }
  static now() {
    return Number(clock.nowMs());
  }
};
Math.random = () => crypto.random(6).reduce((sum, byte) => (sum + byte) / 256, 0);
const say = (level) => (...all) => log.emit(level, all.map(String).join(" "), []);
globalThis.console = { debug: say("debug"), log: say("info"), info: say("info"), warn: say("warn"), error: say("error") };
