"""Files read within bounds, and written where nobody can wait for them."""

import ast
import json
import os
import re
import secrets
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from landscape import files
from landscape.checkpoints import formats, identity, size
from landscape.errors import InputError
from landscape.objectives import corpus
from landscape.study.checkpoint import Checkpoint
from landscape.study.store import EMPTY, Store

ROOT = Path(__file__).parent.parent


def test_a_link_planted_under_a_temporary_name_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda _: "00")
    victim = tmp_path / "victim"
    files.beside(tmp_path / "x").symlink_to(victim)
    with pytest.raises(FileExistsError, match="00.tmp"), files.replacing(tmp_path / "x") as stream:
        stream.write(b"content")
    assert not victim.exists() and not (tmp_path / "x").exists()


def test_writers_with_equal_process_numbers_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in two containers on one shared folder."""
    monkeypatch.setattr(os, "getpid", lambda: 7)
    with files.replacing(tmp_path / "x") as one, files.replacing(tmp_path / "x") as two:
        assert one.name != two.name and len(list(tmp_path.iterdir())) == 2
        one.write(b"1")
        two.write(b"2")
    assert [file.name for file in tmp_path.iterdir()] == ["x"] and (tmp_path / "x").read_bytes() == b"1"


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    with pytest.raises(KeyError, match="why"), files.replacing(tmp_path / "x") as stream:
        stream.write(b"new")
        raise KeyError("why")
    assert [file.name for file in tmp_path.iterdir()] == ["x"] and (tmp_path / "x").read_text() == "old"


def test_leftovers_of_the_store_are_found_by_their_name(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.open({**EMPTY, "name": "mine"})
    left = files.beside(tmp_path / "rows" / "k.parquet")
    left.touch()
    os.utime(left, (1, 1))
    store.write("k", [{"table": "a"}], np.ones((1, 2), np.float32))
    store.open({**EMPTY, "name": "mine"})
    assert not left.exists() and store.done("k")


def test_no_file_is_written_under_a_name_that_can_be_guessed() -> None:
    """Temporary names come from one function: a name made by hand would have a suffix of its own."""
    for file in [*(ROOT / "landscape").rglob("*.py"), *(ROOT / "cli").glob("*.py")]:
        text, recorded = file.read_text(), set[int]()
        for node in ast.walk(ast.parse(text)) if re.search(r"getpid|\.part|\.tmp", text) else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"Owner", "process_start"}:
                recorded |= {id(inner) for own in node.args for inner in ast.walk(own)}
            if isinstance(node, ast.Attribute) and node.attr == "getpid" and id(node) not in recorded:
                raise AssertionError(f"{file} makes a name of a process number")
            if isinstance(node, ast.Constant) and str(node.value).endswith((".part", ".tmp")):
                assert file.name in {"files.py", "store.py"}, f"{file}: {node.value}"


def test_only_regular_files_within_bounds_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    os.mkfifo(tmp_path / "pipe")
    assert files.read(tmp_path / "a", 5) == b"12345"
    with pytest.raises(InputError, match=r"a is larger than the 0 MB that such a file may have"):
        files.read(tmp_path / "a", 4)
    with pytest.raises(InputError, match="/dev/zero is a device or a pipe; give a regular file"):
        files.read(Path("/dev/zero"), 5)
    with pytest.raises(InputError, match="pipe is a device or a pipe"):
        files.read(tmp_path / "pipe", 5)
    with pytest.raises(IsADirectoryError, match="Is a directory"):
        files.read(tmp_path, 5)


@pytest.mark.parametrize("text", ["[" * 100_000, "NaN", "-Infinity", "1e400", "[1, {]", "9" * 5000])
def test_what_is_no_json_is_one_error(text: str) -> None:
    with pytest.raises(ValueError, match="deep|not a JSON number|Expecting|integer string"):
        files.parsed(text)


def test_numbers_that_are_not_finite_are_let_through_where_wanted() -> None:
    assert files.parsed('{"limit": [0.0, Infinity]}', strict=False)["limit"][1] == float("inf")
    assert files.parsed('{"a": [1e300, 2, "NaN"]}') == {"a": [1e300, 2, "NaN"]}


def test_weights_that_may_not_be_read_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(bytes(40))

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(InputError, match=r"cannot be read \(Permission denied\); check the path and its permissions"):
        formats.index(tmp_path)
    with pytest.raises(InputError, match=r"cannot be read \(Permission denied\); check the path and its permissions"):
        identity.sha256(file)


@pytest.mark.parametrize("text", ["null", "[1]", "{", "[" * 100_000])
def test_the_size_of_a_checkpoint_with_a_damaged_config_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "config.json").write_text(text)
    monkeypatch.setattr(size.fetch, "pinned", lambda checkpoint: checkpoint)
    monkeypatch.setattr(size.fetch, "size", lambda _: 8)
    monkeypatch.setattr(size.fetch, "described", lambda _: tmp_path)
    with pytest.raises(InputError, match="config.json cannot be read"):
        size.weights(Checkpoint("hf://a/b"))


def test_a_half_of_a_pair_is_no_reason_to_stop(tmp_path: Path) -> None:
    """JSON can hold lone surrogates, and scraped texts do; no encoder takes them."""
    lines = tmp_path / "t.jsonl"
    lines.write_text('{"text": "a \\ud800 b \\ud83d\\ude00"}\n{"text": "c"}')
    assert corpus.read_corpus(lines) == "a \ufffd b \U0001f600\n\nc"
    corpus.read_corpus(lines).encode()
    pq.write_table(pa.table({"text": ["plain \U0001f600"], "label": [1]}), tmp_path / "t.parquet")
    assert json.loads(corpus.read_examples(tmp_path / "t.parquet"))["text"] == "plain \U0001f600"


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wide.txt").write_bytes("the quick brown fox".encode("utf-16-le"))
    with pytest.raises(InputError, match=r"wide.txt holds NUL characters, so it is no text of UTF-8"):
        corpus.read_corpus(tmp_path / "wide.txt")
    (tmp_path / "two.csv").write_text("text,text\na,b\n")
    with pytest.raises(InputError, match=r"two.csv has several columns called 'text'"):
        corpus.read_corpus(tmp_path / "two.csv")
