"""Voice: how strongly the adapter of a role acts, as a slider; there only where the role has one."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from twin.desk import STRONGEST

if TYPE_CHECKING:
    from twin.notebook.chat import Chat

STEP = 0.05


class Voice:
    """The slider of one role at a time. A move is kept when the hand rests: each one is a version of the role map."""

    def __init__(self, face: Chat) -> None:
        self._face = face
        self._role = ""
        self._slider = widgets.FloatSlider(
            min=0.0, max=STRONGEST, step=STEP, continuous_update=False, description=face.words("Adapter"),
            tooltip=face.words("How strongly the role's adapter acts; 0 is the core alone"),
            layout=widgets.Layout(width="18em", display="none"))
        self.view = self._slider
        self._slider.observe(self._moved, "value")

    def show(self, role: str) -> None:
        """Stand for this role; not there where it has no adapter, or none is meant."""
        found = next((one for one in self._face.twin.role_map.roles if one.id == role), None)
        adapter = found.adapter if found else None
        self._role = ""  # what the program sets is no move
        if adapter is not None:
            self._slider.value = adapter.scale
            self._role = role
        self._slider.layout.display = "" if adapter else "none"

    def settle(self) -> None:
        """Keep a move that waits now, before what is asked next. The gate is held."""
        if self._face.gate.hold(self._key):
            self._keep()

    def _moved(self, _: Any) -> None:
        if self._role:
            self._face.gate.soon(self._key, self._alone, self._failed)

    def _alone(self) -> None:
        with self._face.gate.alone():
            self._keep()

    def _keep(self) -> None:
        self._face.twin.tune(self._role, scale=round(float(self._slider.value), 2))

    def _failed(self, error: Exception) -> None:
        """The slider goes back to what is so."""
        self.show(self._role)
        self._face.tell(self._face.said(error))

    @property
    def _key(self) -> str:
        return f"voice {id(self)}"
