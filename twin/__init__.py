"""A person's own AI twin on their own machine. Public names load on first use; importing this loads no big package."""
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twin.chat import Twin as Twin
    from twin.depth import rate as rate
    from twin.errors import TwinError as TwinError
    from twin.person import Claim as Claim
    from twin.person import Depth as Depth
    from twin.person import Evidence as Evidence
    from twin.person import Profile as Profile
    from twin.roles import Role as Role
    from twin.roles import RoleMap as RoleMap
    from twin.types import Conversation as Conversation
    from twin.types import Event as Event
    from twin.types import ImportReport as ImportReport
    from twin.types import Message as Message
    from twin.types import Recalled as Recalled
    from twin.types import Turn as Turn

__version__ = "0.1.0"

_HOME_OF = {
    "Twin": "twin.chat", "TwinError": "twin.errors", "Role": "twin.roles", "RoleMap": "twin.roles",
    "Claim": "twin.person", "Conversation": "twin.types", "Depth": "twin.person", "Event": "twin.types",
    "Evidence": "twin.person",
    "ImportReport": "twin.types", "Message": "twin.types", "Profile": "twin.person", "Recalled": "twin.types",
    "Turn": "twin.types", "rate": "twin.depth",
}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    """Load a public name from its room (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'twin' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def load_ipython_extension(ipython: Any) -> None:
    """%load_ext twin: the magics %twin and %%twin."""
    importlib.import_module("twin.notebook.magics").load(ipython)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
