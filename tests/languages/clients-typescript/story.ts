// What a program in TypeScript does with types that were generated for it.

import assert from "node:assert/strict";
import createClient, { type Middleware } from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Refusal = components["schemas"]["Error"];
type Tokens = components["schemas"]["Tokens"];

const { URL: baseUrl, ADMIN_USERNAME: username, ADMIN_PASSWORD: password } = process.env;
assert(baseUrl && username && password);

const anonymous = createClient<paths>({ baseUrl });

function by(token: string) {
  const client = createClient<paths>({ baseUrl: baseUrl as string });
  const bearer: Middleware = {
    onRequest({ request }) {
      request.headers.set("Authorization", `Bearer ${token}`);
      return request;
    },
  };
  client.use(bearer);
  return client;
}

/** One shape for all of them. */
function refused(answer: { error?: Refusal; response: Response }, status: number, type: string, loc: (string | number)[]) {
  assert.equal(answer.response.status, status);
  assert(answer.error);
  assert.equal(answer.error.detail[0]?.type, type);
  assert.deepEqual(answer.error.detail[0]?.loc, loc);
  assert.equal(answer.error.request_id, answer.response.headers.get("x-request-id"));
}

function done<T>(answer: { data?: T; error?: Refusal }): T {
  assert.equal(answer.error, undefined);
  assert(answer.data !== undefined);
  return answer.data;
}

const health = await anonymous.GET("/api/v1/sys/health");
assert(health.data?.ready);

// In, wrongly and rightly.
const wrong = await anonymous.POST("/api/v1/auth/token/create", { body: { username, password: "not this one at all" } });
refused(wrong, 400, "invalid_grant", []);
assert.equal(wrong.error?.error, "invalid_grant");
const tokens: Tokens = done(await anonymous.POST("/api/v1/auth/token/create", { body: { username, password } }));
let client = by(tokens.access_token);
const me = done(await client.GET("/api/v1/users/me"));
assert.equal(me.username, username);
const session = done(await client.GET("/api/v1/sessions/current"));
assert.equal(session.session_id, tokens.session_id);

// A secret, with an end and without.
const secret_id = "kv/apps/web/db";
const at = { params: { path: { secret_id } } };
const data = { user: "shop", pass: "swordfish-47" };
const made = done(await client.POST("/api/v1/secrets/create", { body: { secret_id, data, ttl: "1h" } }));
assert.equal(made.version, 1);
assert.equal(typeof made.expires_at, "string");
refused(await client.POST("/api/v1/secrets/create", { body: { secret_id, data } }), 422, "already_exists", ["body", "secret_id"]);
done(await client.POST("/api/v1/secrets/create", { body: { secret_id: "kv/apps/web/key", value: "k", ttl: 90 } }));
const read = done(await client.GET("/api/v1/secrets/{secret_id}", at));
assert.deepEqual(read.data, data);
assert.equal(read.created_by, me.id);

// Two writers.
const body = { data: { pass: "tr0ub4dor" }, expected_version: 1 };
assert.equal(done(await client.PUT("/api/v1/secrets/{secret_id}", { ...at, body })).version, 2);
refused(await client.PUT("/api/v1/secrets/{secret_id}", { ...at, body }), 409, "version_conflict", []);
assert.equal(done(await client.PATCH("/api/v1/secrets/{secret_id}", { ...at, body: { data: { host: "db.internal" } } })).version, 3);
const history = done(await client.GET("/api/v1/secrets/{secret_id}:history", at));
assert.deepEqual(history.versions.map(({ version }) => version), [3, 2, 1]);

// Lists, page by page.
const names: string[] = [];
for (let cursor: string | null | undefined; cursor !== null; ) {
  const query = { prefix: "kv/apps/web/", limit: 1, ...(cursor ? { cursor } : {}) };
  const page = done(await client.GET("/api/v1/secrets", { params: { query } }));
  names.push(...page.secrets.map((secret) => secret.secret_id));
  cursor = page.next_cursor;
}
assert.deepEqual(names, [secret_id, "kv/apps/web/key"]);

// What is wrong is told with its place, what is not there with 404.
const parsecs = { secret_id: "kv/x", value: 1, ttl: "5 parsecs" };
refused(await client.POST("/api/v1/secrets/create", { body: parsecs }), 422, "wrong_type", ["body", "ttl"]);
const nothing = { params: { path: { secret_id: "kv/nothing" } } };
refused(await client.GET("/api/v1/secrets/{secret_id}", nothing), 404, "not_found", []);
refused(await by("cof_s_x_y_z").GET("/api/v1/secrets/{secret_id}", at), 401, "invalid_token", []);

// An engine's own verbs.
const orders = { params: { path: { secret_id: "transit/orders" } } };
done(await client.POST("/api/v1/secrets/create", { body: { secret_id: "transit/orders", data: { algorithm: "aes256-gcm" } } }));
const sealed = done(await client.POST("/api/v1/secrets/{secret_id}:encrypt", { ...orders, body: { plaintext: "aGVsbG8=" } }));
assert(sealed.ciphertext);
const opened = done(await client.POST("/api/v1/secrets/{secret_id}:decrypt", { ...orders, body: { ciphertext: sealed.ciphertext } }));
assert.equal(opened.plaintext, "aGVsbG8=");

// Somebody who may do less.
const ada = { username: "ada", password: "a green horse sings" };
assert.equal(done(await client.POST("/api/v1/users/create", { body: { ...ada, email: "ada@example.com", role: "user" } })).role, "user");
const question = { action: "read", path: `secrets/${secret_id}`, username: "ada" } as const;
const why = done(await client.POST("/api/v1/sys/policies/explain", { body: question }));
assert.equal(why.allowed, false);
assert.equal(why.who[0]?.role, "admin");
const hers = done(await anonymous.POST("/api/v1/auth/token/create", { body: ada }));
refused(await by(hers.access_token).GET("/api/v1/secrets/{secret_id}", at), 403, "forbidden", []);

// Narrower, renewed, ended.
const wish = { grant_type: "session", scope: "read:secrets/kv/apps", session: { one_time: true } };
const once = done(await client.POST("/api/v1/auth/token/create", { body: wish }));
assert.equal(once.refresh_token, null);
assert.equal(done(await client.POST("/api/v1/token/introspect", { body: { token: once.access_token } })).uses_left, 1);
assert.equal(done(await by(once.access_token).GET("/api/v1/secrets/{secret_id}", at)).version, 3);
refused(await by(once.access_token).GET("/api/v1/secrets/{secret_id}", at), 401, "invalid_token", []);
assert(tokens.refresh_token);
const renewed = done(await anonymous.POST("/api/v1/token/renew", { body: { refresh_token: tokens.refresh_token } }));
refused(await client.GET("/api/v1/users/me"), 401, "invalid_token", []);
client = by(renewed.access_token);
assert.equal(done(await client.DELETE("/api/v1/secrets/{secret_id}", { params: { path: { secret_id }, query: { expected_version: 3 } } })).version, 3);
assert.equal(done(await anonymous.POST("/api/v1/token/revoke", { body: { revoke_token: renewed.access_token } })).revoked, true);
refused(await client.GET("/api/v1/users/me"), 401, "invalid_token", []);
console.log("clients-typescript: well");
