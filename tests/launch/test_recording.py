"""What is recorded of scripts that know nothing of it: named loaders, children, and how the log ends."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import pytest
from launching import Ending, under_python, under_us

from coverage_audit.runlog.reader import read_log

LOADERS = """
    import sys
    import numpy as np

    def batches(n=3):
        "Batches of two."
        x = np.load("x_0.npy")
        for at in range(0, 2 * n, 2):
            yield x[at : at + 2]

    class Again:
        def __init__(self, n): self.n = n
        def __len__(self): return self.n
        def __iter__(self): return iter(list(batches_of(self.n)))

    class Pulled:
        def __init__(self): self.at = 0
        def __iter__(self): return self
        def __next__(self):
            self.at += 1
            if self.at > 4: raise StopIteration
            return np.zeros((5, 2))

    class Store:
        def __init__(self): self.x = np.load("x_0.npy")
        def next_batch(self): return self.x[:3], self.x[:3]
        @staticmethod
        def one(): return {"x": np.zeros((7, 1))}
        @classmethod
        def two(cls): return np.zeros((8, 1))

    def get_batch(): return np.zeros((6, 2)), np.zeros(6)
    def listed(): return [(np.zeros((2, 2)), np.zeros(2)), (np.zeros((3, 2)), np.zeros(3))]
    def nothing(): return None
    def batches_of(n): return (np.zeros((4, 1)) for _ in range(n))
"""
USES = {
    "a generator": ("batches", "for b in batches(): assert b.shape == (2, 3)", [2, 2, 2]),
    "its name stays": ("batches", "assert (batches.__name__, batches.__doc__[:5]) == ('batches', 'Batch')", []),
    "next": ("batches", "g = batches(); next(g); next(g)", [2, 2]),
    "twice": ("batches", "list(batches(2)); list(batches(1))", [2, 2, 2]),
    "a generator expression": ("batches_of", "list(batches_of(2))", [4, 4]),
    "a class, iterated twice": ("Again", "a = Again(2)\nassert isinstance(a, Again)\nlist(a); list(a)", [4] * 4),
    "a subclass of it": ("Again", "class B(Again): pass\nlist(B(1))", [4]),
    "an iterator class": ("Pulled", "list(Pulled())", [5, 5, 5, 5]),
    "its next": ("Pulled", "p = Pulled(); next(p)", [5]),
    "a method": ("Store.next_batch", "s = Store()\nfor _ in range(2): x, y = s.next_batch()", [3, 3]),
    "a static method": ("Store.one", "Store.one(); Store().one()", [7, 7]),
    "a class method": ("Store.two", "Store.two()", [8]),
    "a function that returns a batch": ("get_batch", "x, y = get_batch(); get_batch()", [6, 6]),
    "a list of batches": ("listed", "for x, y in listed(): pass", [2, 3]),
    "nothing to record": ("nothing", "assert nothing() is None", []),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    np.save(tmp_path / "x_0.npy", np.arange(48.0).reshape(16, 3))
    np.save(tmp_path / "y_0.npy", np.arange(16))
    return tmp_path


def write(folder: Path, source: str, name: str = "train.py") -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(textwrap.dedent(source))


def run(folder: Path, *options: str, script: str = "train.py") -> Ending:
    return under_us(folder, script, options=options)


def recorded(folder: Path, log: str = "run.parquet") -> dict[str, tuple[str, list[int]]]:
    """Per writer how its record ends, and the rows in each of its batches."""
    opened = read_log(folder / log)
    told = {}
    for end in opened.run.writers:
        sizes: dict[int, int] = {}
        for visits in opened.visits(end.writer):
            for batch, count in zip(visits.batch.tolist(), visits.count.tolist(), strict=True):
                sizes[batch] = sizes.get(batch, 0) + count
        told[end.writer.name] = (end.state, list(sizes.values()))
    return told


ONE = "a000-r0000-p0001"


IN_A_MODULE = ("a generator", "a class, iterated twice", "its next", "a static method", "a class method")


@pytest.mark.parametrize(
    ("what", "where"), [(what, "in the script") for what in USES] + [(what, "in a module") for what in IN_A_MODULE]
)
def test_named_loaders(folder: Path, what: str, where: str) -> None:
    """GIVEN a script WHEN one of its functions or classes is named THEN the batches of that are recorded."""
    name, use, sizes = USES[what]
    if where == "in a module":
        write(folder, LOADERS, "pkg/data.py")
        write(folder, f"from pkg.data import *\n{use}")
        name = f"pkg.data:{name}"
    else:
        write(folder, textwrap.dedent(LOADERS) + use)

    ended = run(folder, "--data", "x_*.npy", "--loader", name, "--identify", "off")

    assert (ended.status, ended.out, ended.err) == (0, "", "")
    if sizes:
        assert recorded(folder) == {ONE: ("closed", sizes)}
        batches = "batch" if len(sizes) == 1 else "batches"
        assert ended.said == (
            f"recorded {len(sizes)} {batches} in run.parquet · next: coverage-audit report run.parquet",
        )
    else:
        assert not (folder / "run.parquet").exists()
        assert ended.said[0].startswith("nothing was recorded: ")


def test_a_module_run_with_m_has_named_loaders_too(folder: Path) -> None:
    write(folder, textwrap.dedent(LOADERS) + "list(batches())", "pkg/train.py")

    ended = under_us(folder, "-m", "pkg.train", options=("--loader", "batches", "--identify", "off"))

    assert (ended.status, ended.err) == (0, "")
    assert recorded(folder) == {ONE: ("closed", [2, 2, 2])}


def test_what_is_called_without_gradients_is_not_training(folder: Path) -> None:
    write(folder, """
        import torch
        def get_batch(n):
            return torch.zeros(n, 2)
        def batches(n):
            yield torch.zeros(n, 2)
        get_batch(1)
        with torch.no_grad():
            get_batch(2)
            list(batches(3))
        list(batches(4))
    """)  # fmt: skip

    run(folder, "--loader", "get_batch", "--loader", "batches", "--identify", "off")

    assert recorded(folder) == {ONE: ("closed", [1, 4])}


def test_a_data_loader_that_is_named_is_recorded_once(folder: Path) -> None:
    write(folder, """
        import torch
        from torch.utils.data import DataLoader
        class Mine(DataLoader):
            pass
        def loaders():
            return DataLoader(torch.zeros(6, 2), batch_size=2)
        model = torch.nn.Linear(2, 1)
        optimizer = torch.optim.SGD(model.parameters())
        for loader in (loaders(), Mine(torch.zeros(3, 2), batch_size=3)):
            for x in loader:
                model(x).sum().backward()
                optimizer.step()
    """)  # fmt: skip

    ended = run(folder, "--loader", "loaders", "--loader", "Mine", "--identify", "off")

    assert ended.said == ("recorded 4 steps in run.parquet · next: coverage-audit report run.parquet",)
    assert recorded(folder) == {ONE: ("closed", [2, 2, 2, 3])}


def test_errors_in_a_named_loader_look_as_without_us(folder: Path) -> None:
    write(folder, """
        import numpy as np
        def get_batch():
            return 1 / 0

        @staticmethod
        def other(): pass

        def batches():
            yield np.zeros(3)
            get_batch()
        for b in batches():
            pass
    """)  # fmt: skip

    plain = under_python(folder, "train.py")
    ended = run(folder, "--loader", "get_batch", "--loader", "batches", "--loader", "other", "--identify", "off")

    assert (ended.status, ended.out, ended.err) == (1, "", plain.err)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("batchs", "--loader batchs: {0} defines no such function or class; did you mean 'batches'? [no-loader]"),
        ("load", "--loader load: {0} imports it, so name the module too: --loader numpy:load [no-loader]"),
        (
            "Data.other",
            "--loader Data.other: {0} defines no such function or class; it defines batches, Data [no-loader]",
        ),
    ],
)
def test_a_loader_that_is_not_there(folder: Path, name: str, message: str) -> None:
    write(folder, "from numpy import load\nif 1:\n    def batches(): pass\nclass Data:\n    x = 1\nprint(1)")

    ended = run(folder, "--loader", name)

    assert (ended.status, ended.out) == (1, "")
    assert ended.said == (f"error: {message.format(folder / 'train.py')}",)


def test_a_module_without_the_loader(folder: Path) -> None:
    """It is known only when the module is imported: said then, and the script runs."""
    write(folder, "", "data.py")
    write(folder, "import data; print(1)")

    ended = run(folder, "--loader", "data:batches")

    assert (ended.status, ended.out) == (0, "1\n")
    assert ended.said[0] == "--loader data:batches: the module has no 'batches'"


CHILDREN = """
    import multiprocessing as mp, os, sys
    import numpy as np
    def batches(n):
        for _ in range(n): yield np.zeros((n, 2))
    def train(n):
        list(batches(n))
    if __name__ == "__main__":
        context = mp.get_context(sys.argv[1])
        {before}
        children = [context.Process(target=train, args=(n,)) for n in (2, 3)]
        for child in children: child.start()
        for child in children: child.join()
        print([child.exitcode for child in children])
        {after}
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("parent", ["none", "before", "after"])
def test_children_record_into_the_same_run(folder: Path, method: str, parent: str) -> None:
    """GIVEN children of any kind WHEN each trains THEN one log, one attempt, one writer each, all closed."""
    text = CHILDREN.format(
        before="train(1)" if parent == "before" else "", after="train(1)" if parent == "after" else ""
    )
    write(folder, text)

    ended = under_us(folder, "train.py", method, options=("--loader", "batches", "--identify", "off"))

    assert (ended.status, ended.out, ended.err) == (0, "[0, 0]\n", "")
    expected = [[2, 2], [3, 3, 3], *([] if parent == "none" else [[1]])]
    told = recorded(folder)
    assert sorted(sizes for _, sizes in told.values()) == sorted(expected)
    assert {state for state, _ in told.values()} == {"closed"}
    assert sorted(told) == [f"a000-r0000-p{i + 1:04d}" for i in range(len(expected))]
    assert ended.said[-1].startswith("recorded by child processes" if parent == "none" else "recorded 1 batch ")


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_children_of_a_module(folder: Path, method: str) -> None:
    write(folder, CHILDREN.format(before="", after=""), "pkg/train.py")

    ended = under_us(folder, "-m", "pkg.train", method, options=("--loader", "batches", "--identify", "off"))

    assert (ended.status, ended.out, ended.err) == (0, "[0, 0]\n", "")
    assert sorted(sizes for _, sizes in recorded(folder).values()) == [[2, 2], [3, 3, 3]]


def test_a_fork_of_its_own(folder: Path) -> None:
    write(folder, """
        import os, sys
        import numpy as np
        def batches(n):
            for _ in range(n): yield np.zeros((n, 2))
        list(batches(2))
        child = os.fork()
        if child == 0:
            list(batches(3))
            sys.exit(0)
        os.waitpid(child, 0)
    """)  # fmt: skip

    ended = run(folder, "--loader", "batches", "--identify", "off")

    assert recorded(folder) == {ONE: ("closed", [2, 2]), "a000-r0000-p0002": ("closed", [3, 3, 3])}
    assert ended.said == ("recorded 2 batches in run.parquet · next: coverage-audit report run.parquet",)


TRAINED = "import numpy as np, os, sys, atexit\ndef batches():\n    while True: yield np.zeros((2, 2))\n"
PULLS = "g = batches()\nnext(g); next(g)\n"


@pytest.mark.parametrize(
    ("end", "status", "state"),
    [
        ("", 0, "closed"),
        ("sys.exit(3)", 3, "closed"),
        ("1 / 0", 1, "closed"),
        ("raise KeyboardInterrupt", -2, "closed"),
        ("os._exit(4)", 4, "open"),
        ("os.abort()", -6, "open"),
        ("os.kill(os.getpid(), 9)", -9, "open"),
    ],
)
def test_however_the_script_ends_what_was_recorded_is_readable(folder: Path, end: str, status: int, state: str) -> None:
    write(folder, TRAINED + PULLS + end)

    ended = run(folder, "--loader", "batches", "--identify", "off")

    assert ended.status == status
    assert recorded(folder) == {ONE: (state, [2, 2])}


def test_exit_handlers_of_the_script_are_recorded_too(folder: Path) -> None:
    """Registered before numpy is imported, they run after all that numpy's import brought along, and before our end."""
    write(folder, "import atexit\natexit.register(lambda: next(g))\n" + TRAINED + PULLS)

    run(folder, "--loader", "batches", "--identify", "off")

    assert recorded(folder) == {ONE: ("closed", [2, 2, 2])}


def test_a_script_that_dies_on_import(folder: Path) -> None:
    write(folder, "import numpy\nimport no_such_module")
    plain = under_python(folder, "train.py")

    ended = run(folder)

    assert (ended.status, ended.err) == (1, plain.err)
    assert ended.said[0].startswith("nothing was recorded: neither Keras nor torch and no --loader in train.py")
    assert not (folder / "run.parquet").exists()


def test_data_that_is_in_no_file_has_to_be_wrapped(folder: Path) -> None:
    write(folder, "import numpy as np\ndef batches():\n    yield np.zeros((2, 3))\nfor batch in batches():\n    pass\n")

    ended = run(folder, "--loader", "batches")

    assert ended.said == (
        "recorded 1 batch in run.parquet, without knowing the data: none was opened with numpy, h5py or zarr · next: "
        "wrap its loader in the script: ca.wrap(loader, ca.Dataset.of(data))",
    )


def test_a_folder_that_is_missing_is_made(folder: Path) -> None:
    write(folder, TRAINED + PULLS + "os.mkdir('elsewhere'); os.chdir('elsewhere'); next(g)")

    ended = run(folder, "--loader", "batches", "--log", "logs/new/a b.parquet", "--identify", "off")

    assert recorded(folder, "logs/new/a b.parquet") == {ONE: ("closed", [2, 2, 2])}
    assert ended.said == (
        "recorded 3 batches in logs/new/a b.parquet · next: coverage-audit report 'logs/new/a b.parquet'",
    )


def test_a_log_that_cannot_be_written_hurts_nobody(folder: Path) -> None:
    (folder / "file").write_text("")
    write(folder, TRAINED + PULLS + "print(sum(next(g).shape)); sys.exit(5)")

    ended = run(folder, "--loader", "batches", "--log", "file/run.parquet", "--identify", "off")

    assert (ended.status, ended.out, ended.err) == (5, "4\n", "")
    (said,) = ended.said
    assert said.startswith("recording has stopped, the script goes on: ")
    assert "file/run.parquet" in said


def test_data_that_cannot_be_read_is_no_denominator(folder: Path) -> None:
    (folder / "x_1.npy").write_bytes(b"damaged")
    write(folder, TRAINED + PULLS)

    ended = run(folder, "--data", "x_*.npy", "--loader", "batches", "--identify", "off")

    assert (ended.status, ended.err) == (0, "")
    assert recorded(folder) == {ONE: ("closed", [2, 2])}
    assert ended.said[0].startswith("train: recording goes on without knowing the data: ")
    assert ended.said[1:] == ("recorded 2 batches in run.parquet · next: coverage-audit report run.parquet",)


def test_a_second_run_is_another_run(folder: Path) -> None:
    """The log of the first is moved out of the way; the same run id makes it the next attempt."""
    write(folder, TRAINED + PULLS)
    options = ("--loader", "batches", "--identify", "off")
    under_us(folder, "train.py", options=options, COVERAGE_AUDIT_RUN_ID="mine")
    under_us(folder, "train.py", options=options, COVERAGE_AUDIT_RUN_ID="mine")

    assert sorted(recorded(folder)) == ["a000-r0000-p0001", "a001-r0000-p0001"]

    ended = run(folder, *options)

    assert sorted(recorded(folder)) == ["a000-r0000-p0001"]
    assert "it is now run.parquet.prev-mine" in ended.said[0]


def test_ranks_need_a_run_id_to_share(folder: Path) -> None:
    write(folder, "print(1)")

    ended = under_us(folder, "train.py", RANK="0", WORLD_SIZE="2")

    assert (ended.status, ended.out) == (1, "")
    assert ended.said == (
        "error: rank 0 of 2 has no run id to share with the others: set the environment variable "
        "COVERAGE_AUDIT_RUN_ID to the same value on all ranks [no-shared-run-id]",
    )


def test_nothing_recorded_says_what_was_looked_for(folder: Path) -> None:
    write(folder, "import numpy as np\nx = np.load('x_0.npy')\ny = np.load('y_0.npy')")

    ended = run(folder)

    assert ended.said == (
        "nothing was recorded: neither Keras nor torch and no --loader in train.py; it opened x_0.npy and y_0.npy · "
        "name what makes its batches: coverage-audit run --loader NAME",
    )


def test_without_data_the_end_proposes_it(folder: Path) -> None:
    np.save(folder / "x_1.npy", np.zeros((4, 3)))
    np.save(folder / "y_1.npy", np.zeros(4))
    write(folder, """
        import numpy as np
        def batches():
            for i in range(2):
                x, y = np.load(f"x_{i}.npy"), np.load(f"y_{i}.npy")
                yield x, y
        list(batches())
    """)  # fmt: skip

    ended = run(folder, "--loader", "batches")

    assert ended.said == (
        "recorded 2 batches in run.parquet, without knowing the data · next: coverage-audit run --data 'x_*.npy' "
        "--aligned 'y_*.npy' --loader batches train.py",
    )


def test_the_proposal_keeps_what_was_typed_and_knows_the_type(folder: Path) -> None:
    """GIVEN a flat file that was mapped WHEN its run is over THEN the next command can be run as it stands."""
    np.arange(64, dtype=np.uint16).tofile(folder / "train.bin")
    write(folder, """
        import numpy as np
        def get_batch():
            return np.memmap("train.bin", np.uint16, "r")[:8].copy()
        get_batch()
    """)  # fmt: skip

    options = ("--loader", "get_batch", "--batch-size", "8", "--log", "a b.parquet")
    first = under_us(folder, "train.py", "--lr", "0 1", options=options)
    second = run(folder, "--data", "train.bin::uint16", *options)

    assert first.said == (
        "recorded 1 batch in a b.parquet, without knowing the data · next: coverage-audit run --data train.bin::uint16 "
        "--log 'a b.parquet' --batch-size 8 --loader get_batch train.py --lr '0 1'",
    )
    assert second.said[-1] == "recorded 1 batch in a b.parquet · next: coverage-audit report 'a b.parquet'"


def test_a_file_that_was_read_as_several_types_has_none(folder: Path) -> None:
    np.arange(64, dtype=np.uint16).tofile(folder / "train.bin")
    write(folder, """
        import numpy as np
        def get_batch():
            return np.memmap("train.bin", np.uint8, "r")[:8], np.memmap("train.bin", np.uint16, "r")[:8]
        get_batch()
    """)  # fmt: skip

    ended = run(folder, "--loader", "get_batch")

    assert ended.said[-1].endswith("run --data train.bin::TYPE --loader get_batch train.py")


@pytest.mark.parametrize("warnings", ["", "error", "ignore"])
def test_unknown_rows_are_said_in_words_of_run(folder: Path, warnings: str) -> None:
    """Once, on a line of ours, whatever the script makes of warnings; with a remedy that does not need our Python."""
    write(folder, """
        import numpy as np
        def batches():
            for _ in range(3):
                yield np.random.default_rng().normal(size=(4, 3))
        list(batches())
    """)  # fmt: skip

    ended = under_us(folder, "train.py", options=("--data", "x_*.npy", "--loader", "batches"), PYTHONWARNINGS=warnings)

    assert (ended.status, ended.err) == (0, "")
    assert ended.said == (
        "train: the rows of a batch cannot be told: the batch holds rows that are not in the data, byte for byte or by "
        "an exact scaling. Such batches are recorded as unidentified; if the script changes values before they are "
        "trained on (normalises, crops), index the data once with the function that does it, "
        "Dataset.open(...).index(transform=function); else name all that it reads in --data",
        "recorded 3 batches in run.parquet · next: coverage-audit report run.parquet",
    )


def test_data_too_large_to_be_looked_through_is_to_be_indexed(folder: Path) -> None:
    with open(folder / "big_0.npy", "wb") as file:  # a file with a hole takes no space
        np.lib.format.write_array_header_1_0(file, {"shape": (40_000_000, 1), "fortran_order": False, "descr": "<f8"})
        file.truncate(file.tell() + 40_000_000 * 8)
    write(folder, """
        import numpy as np
        def batches():
            yield np.arange(4.0).reshape(4, 1)
        list(batches())
    """)  # fmt: skip

    ended = run(folder, "--data", "big_*.npy", "--loader", "batches")

    assert ended.said[0].endswith(
        "Such batches are recorded as unidentified; index the data once, then run this again: "
        "python -c \"import coverage_audit as ca; ca.Dataset.open(['big_*.npy']).index()\""
    )


TF_DATA = """
    import sys
    import numpy as np
    import tensorflow as tf
    def make():
        data = tf.data.Dataset.from_tensor_slices(np.load("x_0.npy")).batch(4)
        return eval(sys.argv[1])
    train = make()
    for batch in (train[0] if isinstance(train, tuple) else train):
        pass
"""


def test_what_a_named_loader_returns_for_fit_and_the_script_iterates(folder: Path) -> None:
    write(folder, TF_DATA)

    def said(returned: str) -> tuple[str, ...]:
        options = ("--data", "x_*.npy", "--loader", "make", "--log", f"{len(returned)}.parquet")
        return under_us(folder, "train.py", returned, options=options, TF_CPP_MIN_LOG_LEVEL="3").said

    remedy = "which is not recorded where a script iterates it: return (batch for batch in data) there"
    nothing = "nothing was recorded: no Keras fit in train.py; it opened x_0.npy"
    assert said("(data, data)") == (f"--loader make returned a tf.data.Dataset, {remedy}", nothing)
    assert said("(batch for batch in data)") == (
        "recorded 4 batches in 25.parquet · next: coverage-audit report 25.parquet",
    )


def test_fit_on_arrays_is_all_there_was(folder: Path) -> None:
    write(folder, """
        import numpy as np, keras
        x, y = np.load("x_0.npy"), np.load("y_0.npy")
        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile(loss="mse")
        model.fit(x, y, verbose=0)
    """)  # fmt: skip

    ended = under_us(folder, "train.py", options=("--data", "x_*.npy"), TF_CPP_MIN_LOG_LEVEL="3")

    assert ended.said == (
        "fit on arrays is not recorded: Keras itself takes every row once an epoch",
        "nothing was recorded: train.py used only fit on arrays, which cannot be (see above)",
    )
