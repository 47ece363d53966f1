"""What a plugin in Python builds on.

`coffer plugin build` writes this file anew each time, from the server's own release; what a plugin may
import besides stands in wit/coffer.wit beside it, and arrives as the module `wit_world`.
"""

import functools
import json
import os
import random
import sys
import time

from componentize_py_types import Err
from wit_world.imports import clock, config as configuration, context, crypto, log, storage
from wit_world.imports.types import Error, Field, Response

try:
    from wit_world.exports import auth as _auth
except ImportError:
    _auth = None

__all__ = [
    *("answer", "clock", "config", "context", "crypto", "encode", "get", "guarded", "identity", "log", "page"),
    *("parse", "put", "refuse", "storage"),
]


def encode(value):
    """JSON, as bytes."""
    return json.dumps(value, separators=(",", ":")).encode()


def answer(value=None, warnings=(), lease=None):
    """What an engine answers: an object, and what the caller should be warned of."""
    return Response(encode({} if value is None else value), list(warnings), lease)


def identity(subject, display_name=None, groups=(), metadata=(), limits=None, internal=None):
    """Whom a login has proved; which roles that gives is for the mount's mapping to say."""
    limits = limits or _auth.SessionLimits(None, None, None, True)
    kept = encode({"subject": subject} if internal is None else internal)
    whole = _auth.Identity(subject, display_name or subject, list(groups), list(metadata), limits, kept)
    return _auth.Step_Identity(whole)


def refuse(code, message="", problems=(), retry_after_ms=None):
    """A refusal, to be raised: `raise refuse("not-found")`. Its codes stand in the server's own documentation, at
    /docs/plugins-reference. `problems` are of `wit_world.imports.types`; `retry_after_ms` says when to come again."""
    return Err(Error(code, message, list(problems), retry_after_ms))


def parse(body):
    """The object in a request, in credentials, or in what was kept as `internal`."""
    try:
        return json.loads(body) if body else {}
    except ValueError:
        raise refuse("invalid", "must be JSON") from None


def config():
    """The mount's configuration."""
    return parse(configuration.get())


def get(key):
    """The value under a key, or None."""
    entry = storage.get(key)
    return None if entry is None else json.loads(entry.value)


def put(key, value, expires_at_ms=None):
    """Keeps a value, if need be only until a moment: Unix time in milliseconds."""
    storage.put(key, encode(value), expires_at_ms)


def page(folder, query):
    """A page of the names below a folder, as the operation `list` answers them."""
    prefix = f"{folder}/" if folder else ""
    after = query.get("after")
    delimiter = None if query.get("recursive") else "/"
    found = storage.list(prefix, delimiter, after and prefix + after, min(query.get("limit") or 100, 1000))
    names = [key[len(prefix) :] for key in found.keys]
    return {
        "entries": [{"name": name} for name in names if not name.endswith("/")],
        "folders": [name for name in names if name.endswith("/")],
        "next": found.next and found.next[len(prefix) :],
    }


def guarded(exported):
    """Of a class that is exported: a mistake in it is told to the operator with its place."""
    for name, work in list(vars(exported).items()):
        if callable(work) and not name.startswith("_"):
            setattr(exported, name, _guard(work))
    return exported


def _guard(work):
    @functools.wraps(work)
    def watched(*given):
        try:
            return work(*given)
        except Err:
            raise
        except Exception as error:  # noqa: BLE001: whatever it is, the operator is told
            places, at = [], error.__traceback__
            while at is not None:
                places.append(f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}")
                at = at.tb_next
            log.emit(log.Level.ERROR, f"{type(error).__name__}: {error}", [Field("stack", " > ".join(places))])
            raise refuse("internal") from None

    return watched


# A sandbox has no clock, no randomness and no terminal of its own: all of them are the host's. (Left alone,
# `random` would say the same in every call. `datetime.now()` cannot be replaced: `datetime.fromtimestamp(time.time())`.)
class _Lines:
    def __init__(self, level):
        self.level = level

    def write(self, text):
        for line in filter(str.strip, text.splitlines()):
            log.emit(self.level, line, [])
        return len(text)

    def flush(self):
        pass


def _random_bytes(count):
    return crypto.random(count)


time.time = lambda: clock.now_ms() / 1000
time.time_ns = lambda: clock.now_ms() * 1_000_000
os.urandom = random._urandom = _random_bytes
_source = random.SystemRandom()
for _name in ("random", "randbytes", "randint", "randrange", "choice", "choices", "sample", "shuffle", "uniform", "getrandbits"):
    setattr(random, _name, getattr(_source, _name))
sys.stdout, sys.stderr = _Lines(log.Level.INFO), _Lines(log.Level.WARN)
