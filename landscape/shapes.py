"""Shapes in annotations: by jaxtyping where it is installed (tests check them there), plain otherwise."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Annotated as Bool
    from typing import Annotated as Float
    from typing import Annotated as Int
else:
    try:
        from jaxtyping import Bool, Float, Int
    except ModuleNotFoundError:
        from typing import Annotated as Bool
        from typing import Annotated as Float
        from typing import Annotated as Int

__all__ = ["Bool", "Float", "Int"]
