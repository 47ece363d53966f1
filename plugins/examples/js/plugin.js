// Keeps objects. Where one has the member `template`, whoever may `use` it gets the template filled in from the other
// members: `postgres://{{user}}:{{password}}@db`. So a password changes in one place, and readers need no library.

import { answer, get, guarded, page, parse, put, refuse, storage } from "./build/coffer.js";

export const plugin = guarded({ check: () => [] });

export const engine = guarded({
  handle({ operation, path, body }) {
    const given = parse(body);
    switch (operation) {
      case "create":
        if (get(path)) throw refuse("exists");
        put(path, object(given.data));
        return answer();
      case "update":
        put(path, object(given.data));
        return answer();
      case "read":
        return answer({ data: found(path) });
      case "delete":
        found(path);
        storage.delete(path);
        return answer();
      case "list":
        return answer(page(path, given));
      case "render":
        return answer({ text: filled(found(path)) });
      default:
        throw refuse("unsupported");
    }
  },
});

function object(data) {
  if (data && typeof data === "object" && !Array.isArray(data)) return data;
  throw refuse("invalid", "", [{ at: "/data", code: "wrong_type", message: "must be an object" }]);
}

function found(path) {
  const data = get(path);
  if (!data) throw refuse("not-found");
  return data;
}

function filled({ template, ...values }) {
  if (typeof template !== "string") throw refuse("invalid", "has no template");
  return template.replace(/\{\{(\w+)\}\}/g, (_, name) => {
    if (!Object.hasOwn(values, name)) throw refuse("invalid", "the template names a member that is not there");
    return String(values[name]);
  });
}
