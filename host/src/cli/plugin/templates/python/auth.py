from coffer import context, crypto, get, guarded, identity, parse, refuse
from wit_world import exports


@guarded
class Plugin(exports.Plugin):
    def check(self):
        return []


@guarded
class Auth(exports.Auth):
    def login(self, credentials):
        pin = parse(credentials).get("pin", "")
        # Whom `username` names the server has found out; none if there is no such user.
        user = context.login_user()
        # With nobody's hash it does the same work, and answers false.
        right = crypto.password_verify(str(pin), get(user or "-"))
        if not right or user is None:
            raise refuse("denied")
        return identity(user)

    def resume(self, state, answer):
        raise refuse("unsupported")

    def refresh(self, internal):
        """A session is renewed: is this identity still good?"""
        return identity(parse(internal)["subject"]).value
