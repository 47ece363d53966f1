from coffer import context, crypto, encode, get, guarded, identity, parse, put, refuse, storage
from wit_world import exports
from wit_world.imports.types import Problem


@guarded
class Plugin(exports.Plugin):
    def check(self):
        return []


@guarded
class Auth(exports.Auth):
    def login(self, credentials):
        # Whom `username` names the server has found out; none if there is no such user.
        user = context.login_user()
        # With nobody's hash it does the same work, and answers false.
        if not is_right(user or "-", credentials) or user is None:
            raise refuse("denied")
        return identity(user)

    def resume(self, state, answer):
        raise refuse("unsupported")

    def refresh(self, internal):
        """A session is renewed: is this identity still good?"""
        subject = parse(internal)["subject"]
        if get(subject) is None:
            raise refuse("denied")
        return identity(subject).value


@guarded
class Credentials(exports.Credentials):
    """A user's own PIN: how it is set, tried and taken away."""

    def enroll(self, subject, id, credential):
        pin = parse(credential).get("pin")
        if not isinstance(pin, str) or len(pin) < 4:
            raise refuse("invalid", "", [Problem("/pin", "invalid_value", "must have four digits or more")])
        put(subject, crypto.password_hash(pin))
        return b""

    def verify(self, subject, credential):
        return is_right(subject, credential)

    def list(self, subject):
        return encode([] if get(subject) is None else [{"id": "pin"}])

    def remove(self, subject, id):
        if id in (None, "pin"):
            storage.delete(subject)


def is_right(subject, credential):
    return crypto.password_verify(str(parse(credential).get("pin", "")), get(subject))
