"""The local learning coefficient: draws around a checkpoint, and numbers with errors from them."""

from landscape.lazy import callable_package

callable_package(__name__, "landscape.face.llc:llc")
