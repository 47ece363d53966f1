import { context, crypto, get, guarded, identity, parse, refuse } from "./build/coffer.js";

export const plugin = guarded({ check: () => [] });

export const auth = guarded({
  login(credentials) {
    const { pin } = parse(credentials);
    // Whom `username` names the server has found out; none if there is no such user.
    const user = context.loginUser();
    const hash = get(user ?? "-");
    // With nobody's hash it does the same work, and answers false.
    if (!crypto.passwordVerify(String(pin), hash ?? null) || !user) throw refuse("denied");
    return identity(user);
  },
  resume() {
    throw refuse("unsupported");
  },
  // A session is renewed: is this identity still good?
  refresh(internal) {
    return identity(parse(internal).subject).val;
  },
});
