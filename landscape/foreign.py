"""Names for objects of other libraries whose types say nothing: transformers' are made at run time."""

from __future__ import annotations

from typing import Any

Config = Any
"""A config of transformers."""
Pretrained = Any
"""A model of transformers, or any module with its interface."""
Tokenizer = Any
"""A tokenizer of transformers."""
Json = Any
"""What was parsed from JSON or TOML, before it is checked."""
Pickled = Any
"""What was read from a file of ``torch.save``, before it is checked."""
