"""Dated events of training, and tests of whether connectivity and behaviour change together.

:func:`landscape.stages.analysis.analyse` takes the rows of a study, or series that others measured. Frames in, frames
out, and no torch.
"""

from landscape.lazy import callable_package

callable_package(__name__, "landscape.face.stages:stages")
