"""From text to fixed examples."""

from __future__ import annotations

import gzip
import zlib
from functools import lru_cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from landscape.errors import InputError
from landscape.files import MOST_TEXT, read
from landscape.foreign import Tokenizer
from landscape.shapes import Int

GZIP = b"\x1f\x8b"
MAX_BYTES = 2**29
"""Largest size of a text after decompression."""
COMPARED = 4096
"""Characters on which two ways to tokenize are compared."""
TEXTS = 4
"""Texts whose tokens are kept."""


def read_file(path: Path, what: str = "text") -> str:
    """The text of a UTF-8 file.

    Args:
        path: The file.
        what: What error messages call it.

    Raises:
        InputError: If it cannot be read.
    """
    return decoded(path, read_bytes(path, what), what)


def read_bytes(path: Path, what: str = "text") -> bytes:
    """The content of a file, decompressed if it is gzip.

    Args:
        path: The file.
        what: What error messages call it.

    Raises:
        InputError: If it cannot be read, or is too large.
    """
    try:
        content = read(path, MOST_TEXT)
        if content.startswith(GZIP):
            content = gzip.GzipFile(fileobj=BytesIO(content)).read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        said = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read the {what} {path}: {said}; check the path and the file") from error
    if len(content) > MAX_BYTES:
        raise InputError(f"the {what} {path} is larger than {MAX_BYTES >> 20} MiB; give a part of it")
    return content


def decoded(path: Path, content: bytes, what: str = "text") -> str:
    """UTF-8 bytes as text, without a byte order mark and with line feeds as line ends.

    Args:
        path: The file that they come from.
        content: The bytes.
        what: What error messages call the file.

    Raises:
        InputError: If they are not UTF-8, or hold NUL characters.
    """
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise InputError(f"the {what} {path} is not UTF-8 ({error}); give a file of UTF-8 text") from error
    if "\0" in text:
        raise InputError(f"the {what} {path} holds NUL characters, so it is no text of UTF-8; give one that is")
    return text


def fault(error: Exception) -> str:
    """What is wrong with a line, without the name of the exception.

    >>> fault(KeyError("label"))
    'label is missing'
    """
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else f"{error}"


def tokens(tokenizer: Tokenizer, text: str) -> Int[Tensor, " tokens"]:
    """Tokens of a whole text, without special tokens; found once for all that read the text."""
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    state = sha256(backend.to_str().encode()).hexdigest() if backend is not None else ""  # it may have been changed
    return _tokens(tokenizer, f"{state} {len(tokenizer)}", text).long()


@lru_cache(maxsize=TEXTS)
def _tokens(tokenizer: Tokenizer, state: str, text: str) -> Int[Tensor, " tokens"]:
    return torch.tensor(token_ids(tokenizer, text), dtype=torch.int32)


def token_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """Ids of the tokens of a text, without special tokens.

    A tokenizer of the library tokenizers takes as long to find where tokens lie in the text, which is not read here, as
    to find the tokens. It is told not to, if it gives the same ids to the beginning of the text.
    """
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)

    def usual(part: str) -> list[int]:
        ids: list[int] = tokenizer(part, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    def fast(part: str) -> list[int]:
        ids: list[int] = backend.encode_batch_fast([part], add_special_tokens=False)[0].ids
        return ids

    def alike(part: str) -> bool:
        try:
            return usual(part) == fast(part)
        except Exception:  # the last word is cut, and a vocabulary of whole words may fail on half a word
            return False

    if backend is None or len(text) <= COMPARED or not alike(text[:COMPARED]):
        return usual(text)
    return fast(text)


def blocks(ids: Int[Tensor, " tokens"], sequences: int, length: int) -> Int[Tensor, "sequences length"]:
    """Disjoint stretches of the text, spread evenly over it.

    Neighbouring stretches of a text are alike, and would make error bars too small.

    Args:
        ids: Tokens of the text.
        sequences: Number of stretches.
        length: Tokens of each.

    Raises:
        InputError: If the text is too short.
    """
    there = len(ids) // length
    if there == 0:
        raise InputError(
            f"the text has {len(ids)} tokens and one sequence takes {length}; give a longer text or a smaller length"
        )
    if there < sequences:
        raise InputError(
            f"the text gives {there} sequences of {length} tokens and {sequences} are wanted; "
            "give a longer text or lower sequences or length"
        )
    return ids[: there * length].view(there, length)[spread(there, sequences)]


def begin(tokenizer: Tokenizer, bos: bool | Literal["auto"]) -> list[int]:
    """The tokens that a text begins with, for a causal model: the start token, or none.

    Args:
        tokenizer: The tokenizer.
        bos: Whether to begin with the start token; ``auto`` does what the tokenizer does by default.

    Raises:
        InputError: If the start token is wanted and the tokenizer has none.
    """
    start = tokenizer.bos_token_id
    if start is None:
        if bos is True:
            raise InputError("bos is true and the tokenizer has no token to begin a text with; give bos = false")
        return []
    if bos == "auto":
        bos = tokenizer("a", verbose=False)["input_ids"][:1] == [start]
    return [start] if bos else []


def spread(there: int, wanted: int) -> list[int]:
    """Indices of ``wanted`` of ``there`` things, evenly spaced from the first to the last.

    >>> spread(9, 4)
    [0, 3, 5, 8]
    """
    return torch.linspace(0, there - 1, wanted, dtype=torch.float64).round().long().tolist()


def require_vocabulary(ids: Int[Tensor, "*shape"], size: int) -> None:
    """Refuse token ids for which the model has no embedding.

    Raises:
        InputError: If an id is not below ``size``.
    """
    if int(ids.max()) >= size:
        raise InputError(
            f"the text has the token id {int(ids.max())} and the model's vocabulary ends at {size - 1}; "
            "give the tokenizer that the model was trained with"
        )
