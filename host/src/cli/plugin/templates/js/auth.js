import { bytes, context, crypto, encode, get, guarded, identity, parse, put, refuse, storage } from "./build/coffer.js";

export const plugin = guarded({ check: () => [] });

export const auth = guarded({
  login(credentials) {
    const { pin } = parse(credentials);
    // Whom `username` names the server has found out; none if there is no such user.
    const user = context.loginUser();
    // With nobody's hash it does the same work, and answers false.
    if (!isRight(user ?? "-", pin) || !user) throw refuse("denied");
    return identity(user);
  },
  resume() {
    throw refuse("unsupported");
  },
  // A session is renewed: is this identity still good?
  refresh(internal) {
    const { subject } = parse(internal);
    if (!get(subject)) throw refuse("denied");
    return identity(subject).val;
  },
});

// A user's own PIN: how it is set, tried and taken away.
export const credentials = guarded({
  enroll(subject, id, credential) {
    const { pin } = parse(credential);
    if (typeof pin !== "string" || pin.length < 4) {
      throw refuse("invalid", "", [{ at: "/pin", code: "invalid_value", message: "must have four digits or more" }]);
    }
    put(subject, crypto.passwordHash(pin));
    return bytes("");
  },
  verify: (subject, credential) => isRight(subject, parse(credential).pin),
  list: (subject) => encode(get(subject) ? [{ id: "pin" }] : []),
  remove(subject, id) {
    if (!id || id === "pin") storage.delete(subject);
  },
});

const isRight = (subject, pin) => crypto.passwordVerify(String(pin), get(subject) ?? null);
