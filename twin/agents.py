"""Agents: models beside the core of a twin, each for one kind of work, as they stand in `agents.toml` of its home.

    [second]
    model = "qwen2.5-coder-1.5b"     # a name of the catalogue, a path, or a server: http(s)://host:port/v1#name;
                                     # with a key, the variable that holds it: ...#name?key=MY_KEY
    device = "CUDA1"                 # a name of `twin status`; none is the processor
    server = "10.0.0.2:50052"        # an RPC worker of llama.cpp
    apart = true                     # in a worker process of its own
    roles = ["critic"]               # that the second core speaks in a council

Knows names and the file; what runs an agent is in twin.company.
"""
from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import parse_qsl

from twin.errors import InputError, UsageError
from twin.home import Home, write_atomically

FILE = "agents.toml"
MOST_BYTES = 65_536
EMBEDDERS = ("embedder", "router")
KINDS = (*EMBEDDERS, "scorer", "reflection", "second")
_HEAD = "# Models beside the core of this twin, one part a kind: `twin agents`. What each is for: twin/agents.py.\n"


@dataclass(frozen=True)
class Agent:
    """One of them; raises UsageError for what contradicts itself.

    kind: embedder (recall by meaning), router (the embedder the router reads with), scorer (the core that proofs and
    likeness score with), reflection (the core that proposes changes), second (a member of councils of another family,
    for `roles`; none named: the last one). `device`: '' is the processor. `apart`: in a process of its own, so that
    what dies there does not take the twin along; servers behind a URL have one anyway.
    """

    kind: str
    model: str
    device: str = ""
    server: str = ""
    apart: bool = True
    roles: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"There is no kind of agent {self.kind!r}.", f"Choose from {', '.join(KINDS)}.")
        host, _, port = self.server.partition(":")
        said = (self.model, self.device, self.server, *self.roles)
        wrong = {
            "it has no model": not self.model.strip(),
            "a name has characters that cannot be written": any(not part.isprintable() for part in said),
            "a server behind a URL chooses its own devices": self.remote and bool(self.device or self.server),
            f"{self.server!r} is not host:port": bool(self.server) and not (host and port.isdigit()),
            "an RPC worker that dies would take the twin along: it has to be apart": bool(self.server)
                and not self.apart,
            "only the second core speaks roles": bool(self.roles) and self.kind != "second",
        }
        if self.remote:
            split_url(self.model)
            url_options(self.model)
        for why in (why for why, so in wrong.items() if so):
            raise UsageError(f"The agent {self.kind} cannot be so: {why}.", "See `twin agents set --help`.")

    @property
    def remote(self) -> bool:
        """Whether its model is behind a URL."""
        return is_url(self.model)

    @property
    def where(self) -> str:
        """Its device in words: a name, with its worker; the URL's host; 'processor'."""
        if self.remote:
            return split_url(self.model)[0]
        place = self.device or ("RPC0" if self.server else "processor")
        return f"{place} ({self.server})" if self.server else place


def is_url(model: str) -> bool:
    """Whether a model is named by the URL of a server instead of a name or a path."""
    return model[:8].lower().startswith(("http://", "https://"))


def split_url(model: str) -> tuple[str, str | None]:
    """The URL of a server, and the model's name there, which stands behind a '#'; None lets the server choose. Raises
    UsageError for a URL with a user, a password or a query, where keys stand: a URL is kept and shown."""
    url, _, rest = model.partition("#")
    if "@" in url or "?" in url:
        raise UsageError("An address must not hold a key.", "Put the key into the environment and leave it out here.")
    return url, rest.partition("?")[0] or None


def shown(model: str) -> str:
    """A model as it may be shown: of a URL scheme://host:port/path#name, whatever else a person put there."""
    if not is_url(model):
        return model
    url, _, rest = model.partition("#")
    scheme, _, place = url.partition("?")[0].partition("://")
    name = rest.partition("?")[0]
    return f"{scheme}://{place.rpartition('@')[2]}" + (f"#{name}" if name else "")


def url_options(model: str) -> dict[str, Any]:
    """What stands behind the name, `#name?family=qwen3&context=32768&key=MY_KEY`: the chat form the server does not
    tell, the tokens it has room for, the environment variable that holds its key. Raises UsageError for anything else,
    which is not repeated: it may be a key."""
    found: dict[str, Any] = {}
    for key, value in parse_qsl(model.partition("#")[2].partition("?")[2], keep_blank_values=True):
        if key == "family" and value:
            found["family"] = value
        elif key == "context" and value.isdecimal() and 256 <= int(value) <= 100_000_000:
            found["n_ctx"] = int(value)
        elif key == "key" and re.fullmatch(r"[A-Z][A-Z0-9_]*", value):
            found["key_env"] = value
        else:
            raise UsageError("What stands behind the name of a server's model is not understood.",
                             "Use family=NAME, context=TOKENS, or key=VARIABLE, which holds the key.")
    return found


def load(home: Home) -> tuple[Agent, ...]:
    """The agents of a home in the order of KINDS; () without the file. Raises InputError with the line of a mistake;
    the file stays as it is."""
    path = home.root / FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).", _MEND) from error
    if len(data) > MOST_BYTES:
        raise InputError(f"{path} has {len(data)} bytes; it may have {MOST_BYTES}.", _MEND)
    try:
        text = data.decode("utf-8")
        told = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = data[:error.start].count(b"\n") + 1
        raise InputError(f"{path}, line {line}: this is not UTF-8.", _MEND) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        raise InputError(f"{path}, line {line}: this is not TOML.", _MEND) from error
    made = []
    for kind, table in told.items():
        try:
            made.append(_agent(kind, table))
        except UsageError as error:
            raise InputError(f"{path}, line {_line(text, kind)}: {error.what.rstrip('.')}.", _MEND) from error
    return tuple(sorted(made, key=lambda one: KINDS.index(one.kind)))


_MEND = "Mend it, or put it aside: the twin then goes on without agents."


def _agent(kind: str, table: Any) -> Agent:
    """One part of the file. Raises UsageError."""
    if not isinstance(table, Mapping):
        raise UsageError(f"{kind} is no part with a model.", _MEND)
    types = {"model": str, "device": str, "server": str, "apart": bool, "roles": list}
    for name, value in table.items():
        if name not in types or type(value) is not types[name]:
            known = ", ".join(one.name for one in fields(Agent) if one.name != "kind")
            raise UsageError(f"{name} of {kind} is not known, or of another kind than it should be ({known}).", _MEND)
    if not all(isinstance(role, str) for role in table.get("roles", [])):
        raise UsageError(f"roles of {kind} are no names.", _MEND)
    told: dict[str, Any] = {**table, "roles": tuple(table.get("roles", ()))}
    return Agent(**{"kind": kind, "model": "", **told})


def _line(text: str, kind: str) -> int:
    """The line on which the part of a kind begins; 1 where it is written in another way."""
    wanted = re.compile(rf"""\s*\[?\s*["']?{re.escape(kind)}["']?\s*[\].=]""")
    return next((number for number, line in enumerate(text.split("\n"), 1) if wanted.match(line)), 1)


def save(home: Home, agents: Iterable[Agent]) -> None:
    """Write the file whole, for its owner only. Raises UsageError for two of one kind, HomeError."""
    agents = sorted(agents, key=lambda one: KINDS.index(one.kind))
    parts = [_HEAD]
    for agent in agents:
        if sum(other.kind == agent.kind for other in agents) > 1:
            raise UsageError(f"Two agents are of the kind {agent.kind}.", "One of each kind can be.")
        rows = {"model": agent.model, "device": agent.device, "server": agent.server, "apart": agent.apart,
                "roles": list(agent.roles)}
        told = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in rows.items()
                if value not in ("", []) and not (name == "apart" and value)]
        parts.append("\n".join([f"[{agent.kind}]", *told]) + "\n")
    home.create()
    write_atomically(home.root / FILE, "\n".join(parts))
