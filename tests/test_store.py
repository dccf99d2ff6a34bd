import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from landscape.errors import InputError, StorageError
from landscape.study import tables
from landscape.study.record import Record
from landscape.study.store import EMPTY, Store

MINE: Record = {**EMPTY, "name": "mine"}
ROWS = [
    {"table": "barrier", "a": "x", "seed_a": 3, "barrier": 0.25, "branch_step": None},
    {"table": "profile", "t": 0.13, "loss": 2.5},
    {"table": "profile", "t": 0.71, "loss": 2.25},
]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "results")
    store.open(MINE)
    return store


def test_rows_come_back_table_by_table(store: Store) -> None:
    store.write("k1", ROWS)
    store.write("k2", [{"table": "profile", "t": 0.5, "loss": 1.0, "accuracy": 0.75}])
    barriers, profiles = store.rows("barrier", ["k1", "k2", "not there"]), store.rows("profile", ["k2", "k1"])
    assert barriers.to_dict("records") == [{"a": "x", "seed_a": 3, "barrier": 0.25, "branch_step": None}]
    assert profiles["t"].tolist() == [0.5, 0.13, 0.71]
    assert list(profiles.columns) == ["t", "loss", "accuracy"]
    assert pd.isna(profiles["accuracy"][1])
    assert store.rows("loss", ["k1"]).empty
    store.write("k3", [{"table": "barrier", "a": "y", "seed_a": None, "barrier": 0.5}])
    seeds = store.rows("barrier", ["k1", "k3"])["seed_a"]
    assert seeds.dtype == pd.Int64Dtype() and seeds[0] == 3 and pd.isna(seeds[1])


def test_two_processes_may_write_the_same_task_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write = pq.write_table

    def slow(*arguments: object, **options: object) -> None:
        write(*arguments, **options)
        monkeypatch.setattr(pq, "write_table", write)
        monkeypatch.setattr(os, "getpid", lambda: 1)
        Store(store.folder).write("k", ROWS)

    monkeypatch.setattr(pq, "write_table", slow)
    store.write("k", ROWS)
    assert store.done("k") and len(store.rows("barrier", ["k"])) == 1


def test_losses_come_back_exactly(store: Store) -> None:
    losses = np.random.default_rng(1).normal(size=(5, 7)).astype(np.float32)
    store.write("k", ROWS, losses)
    np.testing.assert_array_equal(store.losses("k"), losses)


def test_failure_is_kept_until_success(store: Store) -> None:
    store.fail("k", "why")
    assert store.failed() == {"k": "why"} and not store.done("k")
    store.write("k", ROWS)
    assert store.failed() == {} and store.done("k")


def test_an_old_failure_is_not_told_again(store: Store) -> None:
    store.fail("k", "why")
    store.write("k", ROWS)
    (store.folder / "rows" / "k.parquet").unlink()
    assert store.failed() == {}
    store.write("k", ROWS)
    store.fail("k", "late")  # by another process, of a task that is done
    assert store.failed() == {}


def test_a_file_that_was_cut_short_is_not_done(store: Store) -> None:
    store.write("k", ROWS, np.ones((3, 2), np.float32))
    assert store.done("k") and store.has_losses("k") and not store.done("other") and not store.has_losses("other")
    for folder in ("rows", "losses"):
        file = store.folder / folder / "k.parquet"
        os.truncate(file, file.stat().st_size - 1)
    assert not store.done("k") and not store.has_losses("k") and store.rows("barrier", ["k"]).empty


def test_only_old_leftovers_are_removed(store: Store) -> None:
    """A fresh one may be of another process that is writing now."""
    old, fresh = (store.folder / "rows" / f".{name}.7.tmp" for name in ("old", "fresh"))
    for file, hours in ((old, 25), (fresh, 1)):
        file.touch()
        os.utime(file, (time.time() - 3600 * hours,) * 2)
    store.open(MINE)
    assert not old.exists() and fresh.exists()


def test_whole_numbers_stay_so_where_some_are_missing(store: Store) -> None:
    store.write("k1", [{"table": "pair", "seed": 3, "branch_step": None}])
    store.write("k2", [{"table": "pair", "seed": 2**53 + 1, "branch_step": 2**53 + 1}])
    rows = store.rows("pair", ["k1", "k2"])
    assert rows["seed"].tolist() == [3, 2**53 + 1] and rows["branch_step"].isna().tolist() == [True, False]
    assert rows["branch_step"][1] == 2**53 + 1


def test_folder_of_another_study_is_refused_and_kept(store: Store) -> None:
    store.write("k", ROWS)
    with pytest.raises(InputError, match="holds the results of another study, 'mine', and this one is 'yours'"):
        store.open({**EMPTY, "name": "yours"})
    assert store.record()["name"] == "mine" and store.done("k")
    store.open({**MINE, "parameters": 7})
    assert store.record() == {**MINE, "parameters": 7} and store.done("k")


def test_empty_folder_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no results; make some with: landscape run"):
        Store(tmp_path).record()


@pytest.mark.parametrize("fails", ["fsync", "rename", "write"])
def test_full_disk_loses_nothing(store: Store, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    store.write("kept", ROWS)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    match fails:
        case "fsync":
            monkeypatch.setattr(os, "fsync", full)
        case "rename":
            monkeypatch.setattr(Path, "rename", full)
        case "write":
            monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(StorageError, match=r"cannot write .*k.parquet: No space left on device; make room"):
        store.write("k", ROWS, np.ones((2, 3), np.float32))
    monkeypatch.undo()
    assert not store.done("k")
    assert store.rows("barrier", ["kept"])["barrier"].tolist() == [0.25]
    assert not list(store.folder.rglob(".*.tmp"))


WRITER = """
import sys
from pathlib import Path
import numpy as np
from landscape.study.store import Store
store = Store(Path(sys.argv[1]))
for n in range(60):
    if not store.done(f"k{n}"):
        rows = [{"table": "loss", "n": n, "loss": float(i)} for i in range(9)]
        store.write(f"k{n}", rows, np.full((9, 50), float(n)))
        print(n, flush=True)
"""


@pytest.mark.slow
def test_kill_at_any_time_tears_nothing(store: Store) -> None:
    """Two writers share the folder and are killed again and again; what was said to be written is there, whole."""
    chance, said, kills = random.Random(3), set[str](), 0
    while not all(store.done(f"k{n}") for n in range(60)):
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITER, str(store.folder)], stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        started = [writer.stdout.readline() for writer in writers if writer.stdout]
        time.sleep(0.05 * chance.random())
        for writer in writers:
            kills += writer.poll() is None
            writer.send_signal(signal.SIGKILL)
            out, _ = writer.communicate()
            said |= set(out.split())
        said |= set("".join(started).split())
        for n in said:
            assert len(store.rows("loss", [f"k{n}"])) == 9
            assert (store.losses(f"k{n}") == float(n)).all()
        assert kills < 200
    assert kills >= 2


def test_no_flipped_bit_is_read_as_a_result(tmp_path: Path) -> None:
    """One bit of each tenth byte: a file is damaged, not done, or reads as it was."""
    store = Store(tmp_path)
    losses = np.random.default_rng(0).standard_normal((3, 40))
    rows = [{"table": "loss", "checkpoint": f"c{n}", "loss": float(losses[n].mean()), "step": n} for n in range(3)]
    store.write("k", rows, losses)
    before = store.rows("loss", ["k"])
    silent = 0
    for kind in ("rows", "losses"):
        file = tmp_path / kind / "k.parquet"
        content = file.read_bytes()
        for place in range(0, len(content), 10):
            flipped = bytearray(content)
            flipped[place] ^= 1 << place % 8
            file.write_bytes(flipped)
            if not store.done("k") or store.damaged(["k"]) == ["k"]:
                continue
            silent += not (store.rows("loss", ["k"]).equals(before) and np.array_equal(store.losses("k"), losses))
        file.write_bytes(content)
    assert silent <= 2 and store.damaged(["k"]) == [] and store.done("k")


def test_a_file_under_another_key_is_not_done(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for key in "ab":
        store.write(key, [{"table": "loss", "loss": 1.0}], np.ones((1, 5)))
    for kind in ("rows", "losses"):
        (tmp_path / kind / "b.parquet").write_bytes((tmp_path / kind / "a.parquet").read_bytes())
    assert store.done("a") and not store.done("b") and store.has_losses("a") and not store.has_losses("b")
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "rows" / "c.parquet")
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "losses" / "c.parquet")
    assert not store.has_losses("c")
    (tmp_path / "rows" / "d.parquet").write_bytes(b"PAR1")
    assert not store.done("c") and not store.done("d") and store.damaged("abcd") == []


def test_tables_are_read_once_and_keep_the_order_of_the_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where tasks have different columns, or several tables."""
    store = Store(tmp_path)
    store.write("b", [{"table": "loss", "loss": 2.0, "more": "x"}, {"table": "probe", "value": 7}])
    store.write("a", [{"table": "loss", "loss": 1.0}])
    store.write("c", [{"table": "loss", "loss": 3.0, "more": None}, {"table": "loss", "loss": 4.0, "more": "y"}])
    opened: list[str] = []
    read = pq.ParquetFile.__init__
    monkeypatch.setattr(
        pq.ParquetFile, "__init__", lambda self, file, **more: (opened.append(str(file)), read(self, file, **more))[1]
    )
    found = store.tables(["c", "a", "b", "none"])
    assert set(found) == {"loss", "probe"} and len(opened) == 3
    assert found["loss"]["loss"].tolist() == [3, 4, 1, 2] and found["probe"]["value"].tolist() == [7]
    assert found["loss"]["more"].fillna("").tolist() == ["", "y", "", "x"]
    assert store.rows("probe", ["a"]).empty and store.tables([]) == {}
    assert store.rows("loss", ["a", "c", "a"])["loss"].tolist() == [1, 3, 4, 1], "a pair of one checkpoint and itself"


@dataclass
class Copied:
    """A store that keeps copies of few tasks, and what it reads of the tasks' own files."""

    folder: Path
    patch: pytest.MonkeyPatch
    opened: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=lambda: [f"k{n}" for n in range(9)])

    def __post_init__(self) -> None:
        split = tables.split
        self.patch.setattr(tables, "WORTH", 4)
        self.patch.setattr(tables, "split", lambda file: (self.opened.append(file.stem), split(file))[1])
        self.store = Store(self.folder)

    def put(self, numbers: Iterable[int], loss: float | None = None) -> None:
        for n in numbers:
            more = ({"seed": n}, {"more": "x", "seed": None}, {"seed": n + 0.5})[n % 3]
            row = {"table": "loss", "loss": n / 3 if loss is None else loss, **more}
            self.store.write(self.keys[n], [row, {"table": "probe", "value": n}])

    def read(self, wanted: Sequence[str]) -> dict[str, pd.DataFrame]:
        """The tables, which are those of the tasks' own files; ``opened`` has the files that were read."""
        self.opened.clear()
        found = self.store.tables(wanted)
        opened = list(self.opened)
        with self.patch.context() as patched:
            patched.setattr(tables, "read_copy", lambda *_: (set(), {}))
            patched.setattr(tables, "write_copy", lambda *_: None)
            plain = self.store.tables(wanted)
        assert found.keys() == plain.keys()
        for name, frame in plain.items():
            pd.testing.assert_frame_equal(found[name], frame)
        self.opened[:] = opened
        return found


def test_a_copy_of_many_tasks_says_what_their_files_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of several schemas, with more tasks, in another order, with fewer, and with one done anew."""
    made = Copied(tmp_path, monkeypatch)
    made.put(range(6))
    assert made.store.rows("probe", made.keys[:6])["value"].tolist() == list(range(6))
    assert (tmp_path / "compacted" / "loss.parquet").is_file()
    for wanted in (made.keys[:6], made.keys[5::-1], made.keys[1:3], made.keys[:1], made.keys[0:6:3], made.keys[1:6:3]):
        made.read(wanted)
        assert made.opened == []
    made.put(range(6, 9))
    made.read(made.keys)
    assert made.opened == made.keys[6:]
    made.put(range(5))
    made.read(made.keys)
    assert sorted(made.opened) == sorted({*made.keys[:5], *made.keys[6:]})
    made.put([2], 7.5)
    assert made.read(made.keys)["loss"]["loss"].tolist()[1:3] == [1 / 3, 7.5] and made.opened == ["k2"]
    assert made.store.tables([]) == {}


def test_a_damaged_copy_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Copied(tmp_path, monkeypatch)
    made.put(range(9))
    made.read(made.keys)
    older = (tmp_path / "compacted" / "loss.parquet").read_bytes()
    made.put(range(9), 7.5)
    for damage in (b"", b"PAR1", b"{}", b"[]", older):
        for file in ("loss.parquet", "stamps.json"):
            made.read(made.keys)
            (tmp_path / "compacted" / file).write_bytes(damage)
            made.read(made.keys)
            assert len(made.opened) == 9
            made.read(made.keys)
            assert made.opened == []


def test_a_copy_that_cannot_be_kept_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "WORTH", 1)
    store = Store(tmp_path)
    store.write("a", [{"table": "loss", "loss": 1.0}])
    (tmp_path / "compacted").write_text("of somebody else")
    assert store.rows("loss", "a")["loss"].tolist() == [1.0]


def test_why_a_task_failed_is_said_even_where_the_record_is_damaged(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.fail("a", "no room")
    store.fail("b", "no time")
    for content in ("{", "[]", '{"x": 1}'):
        (tmp_path / "failed" / "b.json").write_text(content)
        assert store.failed()["a"] == "no room" and "b.json does not say why: it is damaged" in store.failed()["b"]


def test_files_are_read_back_only_where_they_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Since they were written, or read back last; where that is not known, they are."""
    store = Store(tmp_path)
    for key in ("a1", "b2", "c3"):
        store.write(key, [{"table": "loss", "loss": 1.0}], np.ones((1, 5)))
    asked: list[str] = []
    monkeypatch.setattr(Store, "_can_be_read", lambda self, key: asked.append(key) or key != "b2")
    assert store.damaged(["a1", "b2", "c3"], anew=False) == [] and asked == []
    with (tmp_path / "written.jsonl").open("r+") as told:
        told.write("?")
    assert store.damaged(["a1", "b2", "c3"], anew=False) == [] and asked == ["a1"]
    asked[:] = ["c3"]
    (tmp_path / "losses" / "b2.parquet").write_bytes((tmp_path / "losses" / "b2.parquet").read_bytes())
    assert store.damaged(["a1", "b2", "c3"], anew=False) == ["b2"] and asked == ["c3", "b2"]
    assert store.damaged(["a1", "b2", "c3"], anew=False) == ["b2"] and store.damaged(["a1"]) == [] and len(asked) == 4
    (tmp_path / "verified.json").write_text("[")
    assert store.damaged(["a1"], anew=False) == [] and len(asked) == 5


def test_results_of_an_earlier_version_are_done(tmp_path: Path) -> None:
    """Their files say nothing of a key."""
    store = Store(tmp_path)
    store.write("abc", [{"table": "loss", "loss": 1.5}], np.ones((1, 5)))
    for kind in ("rows", "losses"):
        file = tmp_path / kind / "abc.parquet"
        table = pq.read_table(file)
        about = {name: value for name, value in (table.schema.metadata or {}).items() if name != b"landscape.key"}
        pq.write_table(table.replace_schema_metadata(about), file)
        assert b"landscape.key" not in file.read_bytes()
    assert store.done("abc") and store.has_losses("abc") and store.damaged(["abc"]) == []
    assert store.rows("loss", ["abc"])["loss"].tolist() == [1.5] and store.losses("abc").tolist() == [[1.0] * 5]
