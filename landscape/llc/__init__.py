"""The local learning coefficient: chains around a checkpoint, and estimates with errors from them."""

from landscape.lazy import callable_package

callable_package(__name__, "landscape.face.llc:llc")
