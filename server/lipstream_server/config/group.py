"""The base of all settings."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class SettingsGroup(BaseModel):
    """Immutable settings; unknown names are refused, numbers are finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with these values, validated as any other."""
        return type(self).model_validate({**dict(self), **changes})
