"""What `coverage-audit explain SLUG` says about each error. tests/cli/test_explain.py compares it with the package."""

from __future__ import annotations

SLUGS = {
    # The data.
    "bad-manifest": "The file is not a dataset manifest: it is no JSON, or shards, paths and partners do not fit "
    "together. Write it again with Dataset.save().",
    "changed-file": "A file of the data is gone, or is not the one that was declared. Rows that could only be "
    "told by comparing with the file are unknown from then on.",
    "counts-batches": "len() of a loader (a torch DataLoader, a Keras PyDataset) is a number of batches. Coverage is "
    "counted in rows: give Dataset.of() the number of rows or the arrays behind the loader.",
    "damaged-file": "A file of the data does not begin with a valid header, or is shorter than its header says; an "
    "interrupted copy is the usual cause. Only headers are read, so damage further in is not noticed.",
    "mixed-arrays": "A mapping is taken for named shards of one dataset, whose rows are of one kind. Arrays with rows "
    "of different shape or type are rather the columns of one table (x and y): give one of them.",
    "mixed-files": "A pattern matched files that describe the same rows, such as x_0.npy and y_0.npy with equal row "
    'counts; counting both would double the data. Dataset.open("x_*.npy", aligned="y_*.npy") counts one and checks '
    "the other. If each file does hold rows of its own, list the patterns or the files.",
    "negative-rows": "A number of rows is 0 or more.",
    "newer-manifest": "The manifest was written by a later version of coverage-audit. Upgrade, or save it again.",
    "not-an-index": "Dataset.index() replaces an earlier index and nothing else. Name another folder with path=.",
    "no-files": "A path, folder or pattern leads to no file that can be read. In a shell, quote patterns that are to "
    "be expanded by coverage-audit.",
    "no-length": "The object has no len(), or does not know it. Give Dataset.of() the number of rows.",
    "missing-extra": "The format is read by an optional package that is not installed. pip install what the message "
    "names.",
    "no-member": "The file has no array of the name after '::', or none at its top level where no name is given.",
    "no-rows-axis": "A 0-d array holds one value and no rows.",
    "not-rows": "The value cannot be rows of a dataset: Dataset.open() takes paths, Dataset.of() an array, a whole "
    "number of rows, or anything with len(); select() takes sample ids or a mask.",
    "raw-needs-type": "A flat file of numbers does not say what it holds. Name the type of one row as numpy.dtype "
    "takes it, after '::': 'train.bin::uint16' where a row is one number, 'digits.bin::(28,28)u1' where it is a "
    "picture; '+1024' at the end skips the first 1,024 bytes.",
    "rows-outside": "select() was given sample ids that the dataset does not have. Sample ids count the rows of all "
    "shards in order, from 0; a selection can only become smaller.",
    "rows-too-short": "Rows are told by their bytes only if they have at least 8 of them: single labels and tokens are "
    "equal by chance. 1-D integers and floats are indexed as streams, in which long pieces are found again.",
    "rows-twice": "A selection is a set of rows, so each id comes once. For loaders that repeat rows on purpose "
    "declare a contract such as with-replacement instead.",
    "same-shard-twice": "One file was named twice, perhaps by two patterns or through a link, and its rows would count "
    "twice; or two shards have one name.",
    "several-arrays": "The rows of a file with several arrays (x and y) cannot be read without the name of one: open "
    "the dataset as 'file.npz::x'.",
    "unaligned-files": "The files of aligned= must pair with the shards one by one: as many files, the same row "
    "counts, and the same numbers in their names where both come from patterns.",
    "uneven-members": "The arrays of one file (.npz, HDF5, zarr) have different lengths, so the file alone does not "
    "say which are the rows. Name one as in 'file.npz::x'.",
    "unreadable-rows": "The values of these rows cannot be read back and compared: Python objects, values of varying "
    "length, HDF5 datasets put together from other files, shards without a file, arrays in memory that were written "
    "to after Dataset.of() or are too large to be looked through before Dataset.index().",
    "unsupported-format": "The dataset reads .npy, .npz, HDF5, Parquet, Arrow and .tar (WebDataset) files, zarr "
    "stores, and flat files of numbers whose type is named, as in 'train.bin::uint16'. For anything else give "
    "Dataset.of() the number of rows, or a mapping of shard names to numbers of rows.",
    "unwritable-index": "The content index is a folder beside the manifest or the data. Name a place that can be "
    "written, with enough space (16 to 20 bytes a row), with Dataset.index(path=...).",
    # Tracer datasets.
    "bad-below": "below= limits the values of a tracer dataset, as a vocabulary does: 2 or more.",
    "bad-tracer": "tracer.json in the folder of a tracer dataset is damaged, so its rows cannot be read. Write the "
    "tracer again.",
    "newer-tracer": "The tracer dataset was written by a later version of coverage-audit. Upgrade, or write it again.",
    "tracer-folder": "A tracer dataset is written into a new or empty folder, or over a tracer of the same files. "
    "Nothing else is ever overwritten.",
    "tracer-needs-files": "A tracer dataset stands in for files on this machine, so arrays, lengths and URLs have "
    "none.",
    "tracer-no-space": "A tracer dataset is as large as the data it stands in for, and the disk has less space free.",
    "tracer-too-small": "A row of a tracer dataset holds its row id and a check in its values. One int64 or a handful "
    "of bytes is enough; a label of one byte is not, and its rows are read from the features beside it.",
    "tracer-type": "Row ids are written as whole numbers, so text, dates and pickled objects cannot hold them.",
    # Calls, plans and configuration.
    "bad-argument": "An argument of wrap() or Recorder() has a value that cannot be meant.",
    "bad-config-value": "A threshold in the configuration has a value of the wrong type.",
    "bad-contract": "A contract is a kind (exactly-once, at-least-once, padded, drop-remainder, with-replacement, "
    "subset) and a unit (per epoch, pass or run).",
    "bad-plan": "A plan needs rows, a batch size, and whole numbers of steps and epochs from 1 up; with "
    "drop_remainder at least one batch must be full.",
    "bad-state-dict": "load_state_dict() of a Recorder goes on from what its state_dict() returned: save that with the "
    "weights.",
    "endless-loader": "assert_full_coverage() runs a loader to its end. For one that never ends (a generator that "
    "begins again, a dataset with repeat()) say how many batches make an epoch, with steps_per_epoch=.",
    "recording-disabled": "COVERAGE_AUDIT_DISABLE turns recording off, and a test of what is recorded cannot pass "
    "then.",
    "bad-setting": "A key of the configuration has a value of the wrong type.",
    "bad-transform": "transform= of Dataset.index() is a function of rows (n, ...) that gives (n, ...): one row for "
    "each row, all of one shape and type, whatever rows come together.",
    "bad-toml": "The configuration file is not valid TOML.",
    "no-config": "The file named by COVERAGE_AUDIT_CONFIG is not there, or a configuration file cannot be read.",
    "no-data": "An option names data that is not there. Quote patterns: they are expanded when the script begins to "
    "train, from the directory of the command.",
    "no-loader": "--loader names a function or class that the script defines at its top level (get_batch, "
    "Data.next_batch), or one of a module (pkg.data:batches). The message says what the script defines.",
    "no-script": "`coverage-audit run` was given no script that exists: a file, a folder or zip file with a "
    "__main__.py, or -m and a module. Options of ours stand before it, options of the script behind it.",
    "no-epoch": "The epoch asked for is not in this log. Epochs count from 0 over all fit() calls of a split.",
    "no-split": "The split asked for is not in this log.",
    "no-steps": "A plan has no recorded steps: it is arithmetic.",
    "plan-too-large": "A plan lists visits per row and every pass, so it stops at 100 million rows and 200,000 "
    "pieces of passes. The steps of one pass depend only on rows divided by batch size: divide both by the same "
    "number to see the report of a larger dataset.",
    "same-destination": "Two formats of one report were sent to one file.",
    "unknown-key": "The configuration holds a key that does not exist; the message names the closest one.",
    "unknown-rule": "There is no rule and no error of that name. `coverage-audit explain` lists the rules.",
    "unknown-threshold": "The rule has no threshold of that name; the message names those it has.",
    "unwritable-report": "A report cannot be written where it was sent.",
    "bad-batch-size": "batch_size= is a whole number of rows above 0, or left out.",
    "bad-dataset": "dataset= is a Dataset: Dataset.open(paths) for files, Dataset.of(array or length) for the rest.",
    "bad-epochs": "epochs= is a whole number above 0, or left out.",
    "bad-identify": 'identify= says how rows are found where ids= does not: "auto" tries all ways in turn; '
    '"provenance", "views", "content", "tracer" or "inferred" forces one; "off" looks for none.',
    "bad-verify-every": "verify_every= is a whole number above 0: one batch in so many is held against the files.",
    "no-tracer": "The files of the dataset are not those of a tracer. `coverage-audit tracer PATHS -o DIR` makes one.",
    "bad-steps-per-epoch": "steps_per_epoch= is a whole number above 0, or left out.",
    "not-a-generator": "callback() tells trained steps from yielded ones for what Keras trains on: generators, "
    "PyDatasets, tf.data datasets and DataLoaders. Wrap one of these, or call .recorder.step() in a loop of your own.",
    "not-iterable": "What is wrapped must be a loader: something that yields batches.",
    "unsupported-loader": "A dataset that tf.distribute has dealt to its devices cannot be wrapped, because the parts "
    "of its batches go their own ways. Wrap the dataset itself and train without a strategy.",
    "wrapped-twice": "A loader is wrapped once; wrapping the wrapper would record every batch twice.",
    # Logs to import.
    "import-column": "A table of steps has a column of steps and one of ids (step, global_step; ids, id, index, "
    "indices) and may have rank and epoch. --step-column, --ids-column, --rank-column and --epoch-column name others.",
    "import-files": "A log is imported from files: csv, tsv, jsonl, npy, parquet, or OLMo's rank*.tsv.gz. Several "
    "files are one rank's, or each has its rank in its name.",
    "import-order": "The lines of each rank are in the order of training: step numbers count up, may have gaps, and "
    "go back only where the run was restarted from a step it had before.",
    "import-shape": "A .npy log is a matrix of whole numbers: a row of ids per step, or two columns of step and id.",
    "import-value": "Steps, ids, ranks and epochs are whole numbers. The message has the file and the line.",
    # The run log.
    "bad-data-parallel": "data_parallel= is (index, size) with 0 <= index < size.",
    "bad-environment": "A variable that should say the rank or the number of ranks holds something else.",
    "bad-ids": "Row ids are whole numbers, one per row of the batch.",
    "bad-if-exists": 'if_exists= says what happens to another run\'s log in the same place: "archive" or "error".',
    "bad-rank": "The rank must be below the number of ranks.",
    "bad-run-id": "A run id is text that can be part of a file name.",
    "bad-state": "A file beside the log (run.parquet.state) is damaged. What was recorded in other files can still be "
    "read.",
    "damaged-part": "A part of the log cannot be read: it is cut off or was changed. Restore it from a copy; moved "
    "away, the rest of the log can be read.",
    "empty-log-folder": "The folder holds no log: nothing was recorded into it.",
    "journal-exists": "A journal of that name is there already; journals are never overwritten.",
    "live-writer": "A process still writes to this log, so it is not moved away. Wait for it, name another log, or "
    "join it with its run id.",
    "log-busy": "Another process is opening or moving this log at this moment.",
    "log-exists": 'Another run\'s log is in this place and if_exists="error" was asked for.',
    "missing-dataset": "The log names a dataset whose description is not beside it (run.parquet.state moves together "
    "with run.parquet).",
    "missing-journal": "A writer left several journals and one of them is gone, so later steps cannot be numbered.",
    "missing-part": "A writer left several parts and one of them is gone, so the counts would be too low.",
    "newer-schema": "The log was written by a later version of coverage-audit. Upgrade to read it.",
    "no-file-locks": "The file system of the log has no file locks, so two runs could write into each other's log. "
    "Put the log on a local disk.",
    "no-log": "There is no run log at this path. wrap(..., log=...) makes one.",
    "no-splits": "The log was opened and nothing was wrapped into it, or the process died before it was.",
    "no-shared-run-id": "Several ranks record one run only if they share a run id: set COVERAGE_AUDIT_RUN_ID, or "
    "run_id= in wrap().",
    "not-a-run-log": "Something that coverage-audit did not make is in the place of the log. It is never touched.",
    "other-dataset": "The dataset differs from the one that the log was recorded against.",
    "other-run": "The log belongs to another run than the one named.",
    "unreadable-journal": "A journal cannot be read, or is none.",
    "unwritable-log": "The log cannot be written there.",
}
