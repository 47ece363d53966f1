"""What a program in Python does with a client that was generated for it."""

import os
import ssl

from coffer_client import AuthenticatedClient, Client
from coffer_client.api.policies import explain_policies
from coffer_client.api.secrets import (
    create_secret,
    delete_secret,
    get_secret_history,
    list_secrets,
    patch_secret,
    post_secret_encrypt,
    post_secret_decrypt,
    put_secret,
    read_secret,
)
from coffer_client.api.sessions import current_session
from coffer_client.api.system import health
from coffer_client.api.tokens import create_token, introspect_token, renew_token, revoke_token
from coffer_client.api.users import create_user, current_user
from coffer_client.models import (
    ChangedSecret,
    Error,
    ExplainPolicies,
    Introspection,
    Login,
    NewSecret,
    NewSecretData,
    NewUser,
    PatchSecret,
    PatchSecretDataType0,
    PutSecret,
    PutSecretData,
    Renewal,
    Revocation,
    Secret,
    SessionWish,
    Tokens,
    TransitDecrypt,
    TransitEncrypt,
    User,
)

TRUST = ssl.create_default_context(cafile=os.environ["CA"])
NOWHERE = {"trust_env": False}
ID = "kv/apps/web/db"


def anonymous():
    return Client(base_url=os.environ["URL"], verify_ssl=TRUST, httpx_args=NOWHERE)


def by(token):
    return AuthenticatedClient(base_url=os.environ["URL"], token=token, verify_ssl=TRUST, httpx_args=NOWHERE)


def refused(answer, status, kind, loc):
    """One shape for all of them."""
    assert answer.status_code == status, answer
    assert isinstance(answer.parsed, Error), answer.parsed
    assert answer.parsed.detail[0].type_ == kind, answer.parsed
    assert answer.parsed.detail[0].loc == loc, answer.parsed
    assert answer.parsed.request_id == answer.headers["x-request-id"]


def main():
    assert health.sync(client=anonymous()).ready is True

    # In, wrongly and rightly.
    wrong = Login(username=os.environ["ADMIN_USERNAME"], password="not this one at all")
    answer = create_token.sync_detailed(client=anonymous(), body=wrong)
    refused(answer, 400, "invalid_grant", [])
    assert answer.parsed.error == "invalid_grant"
    login = Login(username=os.environ["ADMIN_USERNAME"], password=os.environ["ADMIN_PASSWORD"])
    tokens = create_token.sync(client=anonymous(), body=login)
    assert isinstance(tokens, Tokens) and tokens.scope is None and isinstance(tokens.refresh_token, str), tokens
    client = by(tokens.access_token)
    me = current_user.sync(client=client)
    assert isinstance(me, User) and me.username == os.environ["ADMIN_USERNAME"]
    assert current_session.sync(client=client).session_id == tokens.session_id

    # A secret, with an end and without.
    data = NewSecretData.from_dict({"user": "shop", "pass": "swordfish-47"})
    made = create_secret.sync(client=client, body=NewSecret(secret_id=ID, data=data, ttl="1h"))
    assert isinstance(made, ChangedSecret) and (made.version, made.secret_id) == (1, ID) and made.expires_at
    refused(create_secret.sync_detailed(client=client, body=NewSecret(secret_id=ID, data=data)), 422, "already_exists", ["body", "secret_id"])
    create_secret.sync(client=client, body=NewSecret(secret_id="kv/apps/web/key", value="k", ttl=90))
    read = read_secret.sync(ID, client=client)
    assert isinstance(read, Secret) and read.data["pass"] == "swordfish-47" and read.created_by == me.id, read
    assert read.metadata.additional_properties == {}

    # Two writers.
    second = PutSecret(data=PutSecretData.from_dict({"pass": "tr0ub4dor"}), expected_version=1)
    assert put_secret.sync(ID, client=client, body=second).version == 2
    refused(put_secret.sync_detailed(ID, client=client, body=second), 409, "version_conflict", [])
    host = PatchSecret(data=PatchSecretDataType0.from_dict({"host": "db.internal"}))
    assert patch_secret.sync(ID, client=client, body=host).version == 3
    assert read_secret.sync(ID, client=client, version=1).data["user"] == "shop"
    history = get_secret_history.sync(ID, client=client)
    assert [version.version for version in history.versions] == [3, 2, 1], history

    # Lists, page by page.
    names, cursor = [], None
    while True:
        page = list_secrets.sync(client=client, prefix="kv/apps/web/", limit=1, **({"cursor": cursor} if cursor else {}))
        names += [secret.secret_id for secret in page.secrets]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert names == [ID, "kv/apps/web/key"], names

    # What is wrong is told with its place, what is not there with 404.
    refused(create_secret.sync_detailed(client=client, body=NewSecret(secret_id="kv/x", value=1, ttl="5 parsecs")), 422, "wrong_type", ["body", "ttl"])
    refused(read_secret.sync_detailed("kv/nothing", client=client), 404, "not_found", [])
    refused(read_secret.sync_detailed(ID, client=by("cof_s_x_y_z")), 401, "invalid_token", [])

    # An engine's own verbs.
    create_secret.sync(client=client, body=NewSecret(secret_id="transit/orders", data=NewSecretData()))
    sealed = post_secret_encrypt.sync("transit/orders", client=client, body=TransitEncrypt(plaintext="aGVsbG8="))
    opened = post_secret_decrypt.sync("transit/orders", client=client, body=TransitDecrypt(ciphertext=sealed.ciphertext))
    assert opened.plaintext == "aGVsbG8=", opened

    # Somebody who may do less.
    ada = NewUser(username="ada", email="ada@example.com", role="user", password="a green horse sings")
    assert create_user.sync(client=client, body=ada).role == "user"
    why = explain_policies.sync(client=client, body=ExplainPolicies(action="read", path=f"secrets/{ID}", username="ada"))
    assert why.allowed is False and why.who[0].role == "admin", why
    hers = create_token.sync(client=anonymous(), body=Login(username="ada", password="a green horse sings"))
    refused(read_secret.sync_detailed(ID, client=by(hers.access_token)), 403, "forbidden", [])

    # Narrower, renewed, ended.
    once = Login(grant_type="session", scope="read:secrets/kv/apps", session=SessionWish(one_time=True))
    once = create_token.sync(client=client, body=once)
    assert once.refresh_token is None and once.scope == "read:secrets/kv/apps", once
    assert introspect_token.sync(client=client, body=Introspection(token=once.access_token)).uses_left == 1
    assert read_secret.sync(ID, client=by(once.access_token)).version == 3
    refused(read_secret.sync_detailed(ID, client=by(once.access_token)), 401, "invalid_token", [])
    renewed = renew_token.sync(client=anonymous(), body=Renewal(refresh_token=tokens.refresh_token))
    refused(current_user.sync_detailed(client=client), 401, "invalid_token", [])
    client = by(renewed.access_token)
    assert delete_secret.sync(ID, client=client, expected_version=3).version == 3
    assert revoke_token.sync(client=anonymous(), body=Revocation(revoke_token=renewed.access_token)).revoked is True
    refused(current_user.sync_detailed(client=client), 401, "invalid_token", [])
    print("clients-python: well")


main()
