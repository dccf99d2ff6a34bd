"""Rows: what tasks find."""

from typing import Any

Row = dict[str, Any]
