"""Dataset: the denominator. Ordered shards with row counts, and where their files are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coverage_audit.errors import DatasetError
from coverage_audit.model.shards import Shard, Shards
from coverage_audit.sources import tar_samples
from coverage_audit.sources.arrow_rows import ArrowRows, rows_of_all
from coverage_audit.sources.changes import describe_changes
from coverage_audit.sources.files import PathLike, common_names, find_files
from coverage_audit.sources.held import Held, hold
from coverage_audit.sources.manifest import read_manifest, write_manifest
from coverage_audit.sources.mapped import file_of
from coverage_audit.sources.opening import check_group, check_rows, read_file, refuse_same, rows_in, tell_progress
from coverage_audit.sources.partners import pair_files
from coverage_audit.sources.progress import Progress, progress_of
from coverage_audit.sources.sample_keys import SampleKeys, read_sample_keys
from coverage_audit.sources.selection import choose_rows
from coverage_audit.sources.sized import count_rows, refuse_features

if TYPE_CHECKING:
    from coverage_audit.sources.index import ContentIndex
    from coverage_audit.sources.indexing import Transform


@dataclass(frozen=True)
class Dataset:
    """An ordered list of shards; made by :meth:`open`, :meth:`of` or :meth:`load`.

    ``paths``: the file of each shard, None for arrays, lengths and URLs. ``partners``: per shard the files of
    ``aligned=`` that hold the same rows (labels beside features). ``members``: per shard the array inside its file,
    the type of a flat file, "" where the file says it all. ``manifest``: where it was last saved to or loaded from.
    ``index_folder``: where its index was put by :meth:`index`. ``keys``: of the samples in .tar shards, see
    :meth:`sample_keys`. ``origin``: where the rows of a Hugging Face dataset lie, if it was made :meth:`of` one.
    ``held``: arrays in memory that it was made of; not part of what is saved or pickled.
    """

    shards: Shards
    paths: tuple[Path | None, ...]
    partners: tuple[tuple[Path, ...], ...] = field(default=())
    members: tuple[str, ...] = field(default=())
    manifest: Path | None = field(default=None, compare=False)
    index_folder: Path | None = field(default=None, compare=False)
    keys: SampleKeys | None = field(default=None, compare=False, repr=False)
    origin: ArrowRows | None = field(default=None, compare=False, repr=False)
    held: Held | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.members:
            object.__setattr__(self, "members", ("",) * len(self.shards))
        names = [shard.name for shard in self.shards]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise DatasetError(
                f"two shards are named {twice!r}: a report tells rows by shard, so give each a name of its own",
                slug="same-shard-twice",
            )

    @classmethod
    def open(
        cls, paths: PathLike | Iterable[PathLike], aligned: PathLike | Iterable[PathLike] | None = None
    ) -> Dataset:
        """Read the headers of .npy, .npz, HDF5, Parquet, Arrow and .tar files and zarr stores, or count the rows of
        flat files.

        ``paths``: a file, a store, a folder (the files directly inside), a glob (``**`` goes down), or a list of
        these; URLs go through fsspec. Globs and folders are taken in natural order, plain paths in the order given.

        ``file.npz::x``, ``file.h5::x`` and ``store.zarr::x`` mean one array; without it all arrays (at the top level)
        must have one length and are the columns of one shard. A flat file needs the type of its rows, and the bytes
        to skip if any: ``train.bin::uint16``, ``train.bin::uint16+1024``, ``digits.bin::(28,28)u1``. ``aligned``
        names files whose rows must agree one by one with those of ``paths``. The rows of a .tar, .tar.gz or .tgz are
        the samples that webdataset makes of it; their headers lie all over the file, so this takes a moment.

        A shard's name is its path below the folder that all share. Raises :class:`DatasetError`: no-files,
        unsupported-format, raw-needs-type, damaged-file, no-rows-axis, mixed-files, same-shard-twice,
        unaligned-files, no-member, uneven-members, missing-extra (HDF5 without h5py).
        """
        groups = find_files(paths)
        files = [file for group in groups for file in group.files]
        refuse_same(files)
        with tell_progress(files) as told:
            opened = [read_file(file, told) for file in files]
        headers = iter(header for header, _, _ in opened)
        for group in groups:
            check_group(group, [next(headers) for _ in group.files])
        shards = Shards(
            tuple(
                Shard(name, rows_in(header, file), size, modified)
                for name, file, (header, size, modified) in zip(common_names(files), files, opened, strict=True)
            )
        )
        partners: tuple[tuple[Path, ...], ...] = ((),) * len(files)
        if aligned is not None:
            pairs = pair_files(groups, find_files(aligned))
            for file, shard, others in zip(files, shards, pairs, strict=True):
                for other in others:
                    check_rows(file, shard.rows, other, rows_in(read_file(other)[0], other))
            partners = tuple(tuple(p.path for p in others if p.path is not None) for others in pairs)
        members = tuple(file.member or "" for file in files)
        hashes = [h.hashes if isinstance(h, tar_samples.TarHeader) else None for h, _, _ in opened]
        for shard, of_shard in zip(shards, hashes, strict=True):
            tar_samples.warn_of_repeated(shard.name, of_shard)
        keys = None if all(h is None for h in hashes) else SampleKeys(shards, hashes)
        return cls(shards, tuple(file.path for file in files), partners, members, keys=keys)

    @classmethod
    def of(cls, data: Any, name: str | None = None) -> Dataset:
        """An array, a number of rows, anything with ``len()``, or a mapping of shard names to these.

        ``name`` is the name of the single shard, "data" by default.

        Arrays without a file (numpy, tensors of torch and TensorFlow on the CPU; numbers, not objects) stay referenced
        by the dataset, and row ``i`` is what ``data[i]`` is now: an array that is shuffled in place afterwards holds
        the same rows in another order, and one that is changed holds other rows. For that, all rows are hashed here,
        some 0.2 µs and 8 bytes a row (28 once rows are looked for); arrays of more than 4 GiB or two million rows
        together (memory maps of parts of files: 256 MiB) only by :meth:`index`. Nothing of it is saved or pickled.

        Raises :class:`DatasetError`: negative-rows, no-rows-axis, no-length, counts-batches, mixed-arrays, not-rows.
        """
        if name is not None and not isinstance(name, str):
            raise DatasetError(
                f"name={repr(name)[:60]} is of type {type(name).__name__}: it names the only shard; give several "
                'arrays as a mapping, Dataset.of({"a": a, "b": b}), and labels not at all',
                slug="not-rows",
            )
        things = dict(data) if isinstance(data, Mapping) else {"data" if name is None else name: data}
        if isinstance(data, Mapping):
            if not things:
                raise DatasetError("an empty mapping has no shards: name at least one", slug="not-rows")
            refuse_features(things)
        shards = Shards(tuple(Shard(str(key), count_rows(thing)) for key, thing in things.items()))
        files = [file_of(thing) for thing in things.values()]
        origin = rows_of_all(list(things.values()))
        members = tuple(member for _, member in files)
        paths = tuple(path for path, _ in files)
        held = hold([shard.name for shard in shards], list(things.values()), paths)
        return cls(shards, paths, ((),) * len(shards), members, origin=origin, held=held)

    def select(self, rows: Any) -> Dataset:
        """The same shards and ids with fewer rows as the denominator.

        ``rows``: sample ids (array, list, range), a boolean mask of one entry per sample id, or a RowSet. Raises
        :class:`DatasetError` (rows-outside, rows-twice, not-rows) for ids that are not expected here, come twice, or
        are no whole numbers.
        """
        return replace(self, shards=Shards(self.shards.items, choose_rows(rows, self.shards)))

    def save(self, path: PathLike) -> None:
        """Write a manifest (JSON) from which :meth:`load` makes an equal dataset without the data."""
        write_manifest(Path(path), self.shards, self.paths, self.partners, self.members)
        object.__setattr__(self, "manifest", Path(path).absolute())

    @classmethod
    def load(cls, path: PathLike) -> Dataset:
        """Read a manifest; the data itself is not looked at. Raises :class:`DatasetError`."""
        return cls(*read_manifest(Path(path)), manifest=Path(path).absolute())

    def sample_keys(self) -> SampleKeys | None:
        """What finds the samples of .tar shards by their keys; None if the data has no such shard.

        After :meth:`load` the headers of the files are read again, once. Raises :class:`DatasetError`: no-files,
        damaged-file, changed-file.
        """
        if self.keys is None:
            object.__setattr__(self, "keys", read_sample_keys(self))
        return self.keys

    def index(
        self, path: PathLike | None = None, *, transform: Transform | None = None, progress: Progress = None
    ) -> ContentIndex:
        """Read all data once and write down which row has which bytes, so that recorders know any row again.

        The index is a folder beside the manifest (``data.json.index``) if there is one, else beside the data, or
        ``path``. One that fits the data as it is now is opened instead of made; one that does not is never used.
        Takes 16 to 20 bytes a row on disk, half of that for a moment more, and some 300 MB of memory for any number of
        rows. 1-D data (tokens) is indexed by 1 in 5 to 1 in 29 of its places.

        ``transform``: what the loader does to rows where that cannot be undone (standardising, casting to fewer bits):
        a function of blocks (n, ...) that gives (n, ...), each row by itself; its results are indexed, anew each time,
        as nothing says whether the function is still the same. ``progress``: False for no bar, or a callable
        ``(done, total)``; rows count twice, once when read and once when put in order.

        Arrays in memory are indexed in memory, without a path, and are from then on what they are now if they were too
        large to be looked through when they were declared.

        Raises :class:`DatasetError`: rows-too-short, unreadable-rows, changed-file, unwritable-index, not-an-index;
        :class:`~coverage_audit.errors.UsageError`: bad-transform.
        """
        from coverage_audit.sources.index import index_held, index_in_folder, open_index, places_of
        from coverage_audit.sources.stored import unreadable

        if self.held is not None:
            return index_held(self, self.held, path, progress, transform)
        places = places_of(self)
        if path is None and not places:
            raise unreadable("this dataset", "it has no file on this machine")
        folder = places[0] if path is None else Path(path).absolute()
        found = None if transform is not None else open_index(folder, self)
        if found is None or found.transform is not None:
            with progress_of(progress, f"index of {self.shards.n_ids:,} rows", 2 * self.shards.n_ids) as told:
                found = index_in_folder(self, folder, told, transform)
        object.__setattr__(self, "index_folder", folder)
        return found.limited_to(self.shards.selected)

    @property
    def rows(self) -> int:
        """N: how many rows are expected."""
        return self.shards.rows

    @property
    def fingerprint(self) -> str:
        """16 hex digits over names, row counts and file sizes."""
        return self.shards.fingerprint

    def check_changed(self, recorded: Shards) -> list[str]:
        """What differs from the data that was recorded against, one sentence each; empty if nothing does."""
        return describe_changes(recorded, self.shards)

    def __len__(self) -> int:
        return self.rows

    def __repr__(self) -> str:
        n = len(self.shards)
        shown = ", ".join(f"{shard.name} {shard.rows:,}" for shard in self.shards.items[:4])
        more = f", and {n - 4:,} more" if n > 4 else ""
        of = "" if self.shards.selected is None else f" of {self.shards.n_ids:,}"
        return f"Dataset({self.rows:,}{of} rows in {n:,} shard{'' if n == 1 else 's'}: {shown}{more})"
