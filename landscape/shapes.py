"""Shapes in annotations: jaxtyping where it is installed (the tests check them), plain otherwise."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Annotated as Float
    from typing import Annotated as Int
else:
    try:
        from jaxtyping import Float, Int
    except ModuleNotFoundError:
        from typing import Annotated as Float
        from typing import Annotated as Int

__all__ = ["Float", "Int"]
