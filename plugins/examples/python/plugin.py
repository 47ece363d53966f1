"""Codes to print and keep in a drawer: eight at a time, each good for one login of the user they were made for."""

import base64

from coffer import context, crypto, encode, get, guarded, identity, parse, put, refuse, storage
from wit_world import exports

CODES = 8
# 80 bits each: nobody finds one by trying, so a plain digest is enough.
BYTES = 10


@guarded
class Plugin(exports.Plugin):
    def check(self):
        return []


@guarded
class Auth(exports.Auth):
    def login(self, credentials):
        code = str(parse(credentials).get("code", ""))
        user = context.login_user()
        kept = get(user or "-") or []
        wanted = digest(code)
        left = [one for one in kept if not crypto.constant_time_eq(one.encode(), wanted.encode())]
        if user is None or len(left) == len(kept):
            raise refuse("denied")
        # Stored only if the login succeeds; of two at once with the same code, one does.
        put(user, left)
        return identity(user)

    def resume(self, state, answer):
        raise refuse("unsupported")

    def refresh(self, internal):
        return identity(parse(internal)["subject"]).value


@guarded
class Credentials(exports.Credentials):
    def enroll(self, subject, id, credential):
        codes = [base64.b32encode(crypto.random(BYTES)).decode().lower() for _ in range(CODES)]
        put(subject, [digest(code) for code in codes])
        return encode({"codes": codes})

    def verify(self, subject, credential):
        return digest(str(parse(credential).get("code", ""))) in (get(subject) or [])

    def list(self, subject):
        left = get(subject)
        return encode([] if left is None else [{"id": "codes", "left": len(left)}])

    def remove(self, subject, id):
        if id in (None, "codes"):
            storage.delete(subject)


def digest(code):
    return crypto.hash("sha256", code.strip().lower().encode()).hex()
