"""Ray, imported as it should be: with authentication by token, and without statistics of usage.

Ray reads both from the environment when it is imported, and by default leaves its ports open to anybody on the network.
"""

from __future__ import annotations

import importlib
import os
import secrets
from pathlib import Path
from typing import Any

from landscape.errors import InputError

MODE = "RAY_AUTH_MODE"
TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
TOKEN_FILE = Path(".ray") / "auth_token"
"""Where Ray keeps the token of a user, below the home folder."""

os.environ.setdefault(MODE, "token")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
ray: Any = importlib.import_module("ray")
exceptions: Any = importlib.import_module("ray.exceptions")


def authenticate(address: str) -> None:
    """Have a token: the cluster's, or a new one for a cluster of this machine.

    Raises:
        InputError: If a cluster is to be reached and its token is not known.
    """
    if os.environ[MODE] != "token" or any(name in os.environ for name in TOKENS):
        return
    if not address:
        os.environ[TOKENS[0]] = secrets.token_hex(32)
    elif not (Path.home() / TOKEN_FILE).exists():
        raise InputError(
            f"the token of the Ray cluster at {address} is not known; set {' or '.join(TOKENS)} to that with which it "
            f"was started, or {MODE}=disabled if it has none"
        )
