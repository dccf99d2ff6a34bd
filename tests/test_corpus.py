import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from landscape.errors import InputError
from landscape.objectives import text
from landscape.objectives.corpus import read_corpus, read_examples
from landscape.objectives.text import COMPARED, read_file, token_ids
from landscape.texts import HELD_OUT_TEXT

DOCUMENTS = ["one {brace}\nand a line", 'two "quoted", tëxt', "three"]
JOINED = "\n\n".join(DOCUMENTS)
RECORDS = [{"id": n, "text": document, "meta": {"src": "x"}} for n, document in enumerate(DOCUMENTS)]
LINES = "\n".join(json.dumps(record) for record in RECORDS)


def as_table(file: Path, **how: str) -> None:
    pd.DataFrame(RECORDS).drop(columns="meta").to_csv(file, index=False, **how)


WRITERS: dict[str, Callable[[Path], object]] = {
    "a.jsonl": lambda file: file.write_text(LINES),
    "b.txt": lambda file: file.write_text(LINES + "\n\n"),
    "c.ndjson": lambda file: file.write_bytes(b"\xef\xbb\xbf" + LINES.replace("\n", "\r\n").encode()),
    "d.json": lambda file: file.write_text(json.dumps(RECORDS, indent=1)),
    "e.jsonl.gz": lambda file: file.write_bytes(gzip.compress(LINES.encode())),
    "f.csv": as_table,
    "g.tsv": lambda file: as_table(file, sep="\t"),
    "h.csv.gz": lambda file: as_table(file, compression="gzip"),
    "i.parquet": lambda file: pd.DataFrame(RECORDS).to_parquet(file),
    "j.bin": lambda file: pd.DataFrame(RECORDS).to_parquet(file),
    "k.txt": lambda file: file.write_text(JOINED),
    "l.txt.gz": lambda file: file.write_bytes(gzip.compress(JOINED.encode())),
    "m.txt": lambda file: file.write_bytes(b"\xef\xbb\xbf" + JOINED.encode()),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_corpus_is_its_texts_whatever_holds_them(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    assert read_corpus(tmp_path / name) == JOINED


@pytest.mark.parametrize("plain", ["{brace} stands here", '{"text": "a"}\nand prose', "[1] a note", "", '{"a": 1'])
def test_prose_with_braces_is_prose(tmp_path: Path, plain: str) -> None:
    (tmp_path / "t.txt").write_text(plain)
    assert read_corpus(tmp_path / "t.txt") == plain


@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "x.jsonl"])
def test_examples_become_json_lines(tmp_path: Path, name: str) -> None:
    rows = [{"text": "a, b", "label": 1}, {"text": "c", "label": 2}]
    frame, file = pd.DataFrame(rows), tmp_path / name
    if name.endswith("csv"):
        frame.to_csv(file, index=False)
        rows = [{**row, "label": str(row["label"])} for row in rows]
    elif name.endswith("parquet"):
        frame.to_parquet(file)
    else:
        file.write_text("\n".join(map(json.dumps, rows)))
    assert [json.loads(line) for line in read_examples(file).split("\n")] == rows


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"content": "x", "n": 1}', "record 2 .*no field 'text' .*are 'content', 'n'"),
        ("b.csv", b"body,n\nx,1\n", "record 1 .*no field 'text' .*are 'body', 'n'"),
        ("c.jsonl", b'{"text": 3}', "record 1 .*no field 'text' that is a text"),
        ("d.jsonl", b'{"text": "x"}\n{"text": ', "record 2 of the text .* is not JSON"),
        ("e.jsonl", b"[1]", "record 1 .* is a list; give objects with a field 'text'"),
        ("f.json", b'[{"text": "x"}, 4]', "record 2 .* is a int; give objects"),
        ("g.parquet", b"PAR1 and no more", "is a damaged Parquet file"),
        ("h.txt.gz", b"\x1f\x8b and no more", "cannot read the text .*check the path and the file"),
        ("i.gz", gzip.compress(b"x" * 3000, mtime=0)[:-9], "cannot read the text .*check the path and the file"),
        ("j.txt", b"\xff\xfe\x00", "is not UTF-8"),
        ("k.jsonl", b"[" * 200_000, "record 1 .* is not JSON"),
    ],
)
def test_what_is_no_text_is_said(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_corpus(tmp_path / name)


def test_a_text_is_a_file_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MAX_BYTES", 2**20)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(2**20 + 1)))
    for file in (tmp_path / "bomb.gz", Path("/dev/zero")):
        with pytest.raises(InputError, match="is larger than 1 MiB; give a part|is a device or a pipe"):
            read_corpus(file)


def test_items_have_no_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "items").write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    assert read_file(tmp_path / "items", "items") == "one\ntwo"


LONG = Path(HELD_OUT_TEXT).read_text("utf-8")[:30_000]


def trained(kind: str) -> PreTrainedTokenizerFast:
    """A tokenizer of each kind of the library, on the packaged text; that of BPE has a stored limit and padding."""
    special = ["[UNK]", "[PAD]"]
    if kind == "bpe":
        made = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer: Any = trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    elif kind == "word-piece":
        made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    else:
        made = Tokenizer(models.Unigram())
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=400, special_tokens=special, unk_token="[UNK]", show_progress=False
        )
    made.train_from_iterator([LONG], trainer)
    if kind == "bpe":
        made.enable_truncation(20)
        made.enable_padding(length=10**6)
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", pad_token="[PAD]")


class Shouting(PreTrainedTokenizerFast):
    """A tokenizer that does something to the text before the library does."""

    def _encode_plus(self, text: Any, **settings: Any) -> Any:
        return super()._encode_plus(text.upper(), **settings)


@pytest.mark.parametrize("kind", ["bpe", "word-piece", "unigram"])
def test_tokens_are_those_of_the_tokenizer_however_they_are_found(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = trained(kind)
    wanted = made(LONG, add_special_tokens=False, verbose=False)["input_ids"]
    shouting = Shouting(tokenizer_object=made.backend_tokenizer, unk_token="[UNK]")
    other = shouting(LONG, add_special_tokens=False, verbose=False)["input_ids"]
    assert len(wanted) > 5000 and (other == wanted) == (kind == "word-piece")  # it makes all letters small
    assert token_ids(made, LONG) == wanted and token_ids(shouting, LONG) == other
    assert token_ids(made, LONG[:50]) == made(LONG[:50], add_special_tokens=False)["input_ids"]
    given: list[int] = []
    usual = type(made)._encode_plus

    def counted(self: Any, text: str, **settings: Any) -> Any:
        given.append(len(text))
        return usual(self, text, **settings)

    monkeypatch.setattr(type(made), "_encode_plus", counted)
    assert token_ids(made, LONG) == wanted and given == [COMPARED]


def test_the_tokens_of_a_text_are_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made, other = trained("bpe"), trained("word-piece")
    wanted = [token_ids(tokenizer, LONG) for tokenizer in (made, other)]
    searched: list[str] = []
    monkeypatch.setattr(text, "token_ids", lambda tokenizer, whole: searched.append(whole) or [0, 70_000, 1])
    assert [text.tokens(made, "a text").tolist() for _ in range(2)] == [[0, 70_000, 1]] * 2
    assert text.tokens(other, "a text").dtype == torch.int64 and searched == ["a text"] * 2
    monkeypatch.undo()
    assert [text.tokens(tokenizer, LONG).tolist() for tokenizer in (made, other)] == wanted
    made.add_tokens([LONG.split()[0]])
    assert text.tokens(made, LONG).tolist() == token_ids(made, LONG) != wanted[0], "a tokenizer may be changed"
    wanted[0] = token_ids(made, LONG)
    text.tokens(made, LONG)[:] = 0
    assert text.tokens(made, LONG).tolist() == wanted[0], "nobody can change what is kept"


def test_a_word_cut_in_two_is_no_fault_of_the_text() -> None:
    """A vocabulary of whole words without one for the unknown fails on half a word, as the planted world's does."""
    vocabulary = {word: k for k, word in enumerate(sorted(set(LONG.split())))}
    made = Tokenizer(models.WordLevel(vocabulary))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words = PreTrainedTokenizerFast(tokenizer_object=made)
    shift = next(k for k in range(9) if LONG[: COMPARED - k].split()[-1] not in vocabulary)
    text = "\n" * shift + LONG
    assert token_ids(words, text) == [vocabulary[word] for word in text.split()]
    with pytest.raises(Exception, match="Missing"):
        token_ids(words, text + " zyzzyva")
