"""Shapes in annotations: by jaxtyping in processes that check them, which have imported it before; plain otherwise."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING or sys.modules.get("jaxtyping") is None:  # its import takes 0.2 s; None forbids it
    from typing import Annotated as Bool
    from typing import Annotated as Float
    from typing import Annotated as Int
else:
    from jaxtyping import Bool, Float, Int

__all__ = ["Bool", "Float", "Int"]
