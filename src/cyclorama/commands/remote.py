"""``cyclorama remote generate``: as ``generate``, with the images made by a server."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cyclopts
from cyclopts import Parameter

from cyclorama.client import Client, RemoteWork
from cyclorama.commands.generate import Inputs, Making, Plain, Running
from cyclorama.generation.settings import GenerateConfig, InputSettings, RunSettings

if TYPE_CHECKING:
    from cyclorama.generation.items import ItemSource

remote = cyclopts.App(
    name="remote", help="Have a server make the images: `cyclorama serve`, here or elsewhere."
)
NOTE = "remote.json"
"""In the output folder: which batch of which server it is, so that the same command goes on with it."""
PART_BYTES = 24 * 2**20
"""Of files that are sent together."""
FILE_BYTES = 32 * 2**20
_HERE = ("dtype", "cutout", "storage", "retry", "overwrite", "channels_last", "compile", "in_flight")
_ENDED = ("done", "failed")
_SHARED = ("reference", "reference_mask", "style", "backdrop")


@remote.command
def generate(
    input: Annotated[str, Parameter(name="INPUT")],
    /,
    *,
    out: Path,
    server: str = "http://127.0.0.1:8756",
    key: Annotated[str | None, Parameter(env_var="CYCLORAMA_KEY")] = None,
    inputs: Inputs = None,
    settings: Making = None,
    gate: Annotated[bool, Plain] = False,
    run: Running = None,
    model: str | None = None,
    quiet: Annotated[bool, Plain] = False,
) -> int:
    """Send photos or a table with its images to a server, and fetch what `cyclorama generate` would write.

    INPUT is an image, a folder, or a table or feed on this machine. Run the same command again to go on after
    a stop or a lost connection. Ctrl-C cancels what is not made yet.

    Exit codes: 0 all inputs have their images, 1 some failed, 2 nothing could start, 130 stopped by Ctrl-C.

    Parameters
    ----------
    input
        Image, folder, table or feed.
    out
        Output folder.
    server
        Address of the server.
    key
        Key of the server, as `cyclorama serve keys add` printed it; or the variable CYCLORAMA_KEY.
    gate
        Judge every image and say so in its row.
    model
        One of the server's models; the default is its first.
    quiet
        Print errors only.
    """
    from cyclorama.files import check_output_folder
    from cyclorama.generation.items import ItemSource

    inputs, settings, run = inputs or InputSettings(), settings or GenerateConfig(), run or RunSettings()
    check_output_folder(out)
    source = ItemSource(input, inputs, out)
    order = describe_order(source, inputs, settings, run, gate, model)
    client = Client(server, key)
    mark = mark_input(source)
    batch = find_batch(client, out, order, mark)
    if batch is None:
        check_earlier(source, out)
        order |= {
            name: client.upload(path) for name in _SHARED if (path := getattr(inputs, name)) is not None
        }
        batch = send_inputs(client, source, quiet)
        note = {"server": client.url, "batch": batch.id, "order": order, "input": mark}
        write_note(out, note | {"source": source.address})
    if batch.state in ("open", "cancelled"):
        client.run(batch.id, **read_note(out)["order"])
    ended = batch if batch.state in _ENDED else follow(client, batch.id, quiet)
    if ended is None:
        return 130
    fetch(client, ended, out)
    write_note(out, read_note(out) | {"fetched": True})
    return conclude(ended, out, quiet)


def describe_order(
    source: ItemSource,
    inputs: InputSettings,
    settings: GenerateConfig,
    run: RunSettings,
    gate: bool,
    model: str | None,
) -> dict[str, Any]:
    """What the server is asked for, as plain values, without assets.

    Raises SettingsError (an option that only holds for runs on this machine), ManifestError, ConfigError.
    """
    from cyclorama.config import to_plain
    from cyclorama.errors import ManifestError, SettingsError
    from cyclorama.generation.settings import SCENE_REFERENCE

    local = [name for name in _HERE if name in run.model_fields_set]
    local += [name for name in ("allow_urls",) if name in inputs.model_fields_set]
    if local or inputs.reference_address == SCENE_REFERENCE:
        name = (local or ["reference scene"])[0].replace("_", "-")
        raise SettingsError(f"--{name} is for runs on this machine; leave it out, the server has its own")
    if source.table.kind == "shards" or "://" in source.table.name:
        raise ManifestError(
            f"{source.name} cannot be sent; give an image, a folder or a table on this machine"
        )
    made = {name: to_plain(getattr(settings, name)) for name in settings.model_fields_set}
    if source.table.kind == "image" and (inputs.style or inputs.reference):
        made.setdefault("shared_sets", False)
    order = {
        "columns": inputs.columns,
        "encoding": inputs.encoding,
        "category": inputs.category,
        "aliases": dict(inputs.build_rules().mapping),
        "strict_category": inputs.strict_category,
        "mask_means": inputs.mask_means,
        "settings": made,
        "seed": run.seed,
        "attempts": run.attempts,
        "keep": run.keep,
        "gate": gate,
        "model": model,
    }
    return {name: value for name, value in order.items() if value not in (None, {}, False)}


def list_files(source: ItemSource, scratch: Path) -> Iterator[tuple[str, Path]]:
    """The files of ``source`` that lie on this machine, by the names that the server is to know them by.

    A mask given by --mask stands beside its image there. What lies outside the input's folder is left out:
    its rows fail, and say so.
    """
    folder, given, sent = Path(source.table.folder), source.settings.mask, set[str]()
    for item in source.iterate(scratch):
        found: dict[str, Path] = {}
        for address in (
            item.image,
            item.mask,
            item.reference,
            item.reference_mask,
            item.style,
            item.backdrop,
        ):
            path = Path(address or "")
            if address and "://" not in address and path.is_relative_to(folder) and path.is_file():
                found[path.relative_to(folder).as_posix()] = path
        if given is not None and item.mask is not None and item.image is not None:
            found[f"{os.path.splitext(item.name)[0]}.mask{Path(item.mask).suffix}"] = Path(item.mask)  # noqa: PTH122
        if source.table.kind == "folder" and item.image is not None:
            note = Path(item.image).with_suffix(".json")
            if note.is_file():
                found[note.relative_to(folder).as_posix()] = note
        for name, path in found.items():
            if name not in sent:
                sent.add(name)
                yield name, path


def mark_input(source: ItemSource) -> str:
    """What is sent, in short: which table or folder, and of each file its name, size and time."""
    from cyclorama.data.addresses import read_stamp

    shared = [str(path) for name in _SHARED if (path := getattr(source.settings, name)) is not None]
    hasher = hashlib.sha256()
    with tempfile.TemporaryDirectory(prefix="cyclorama-mark-") as scratch:
        given = [(name, name) for name in (source.table.name, *shared)]
        for name, path in chain(given, list_files(source, Path(scratch))):
            hasher.update(f"{name}\n{read_stamp(str(path))}\n".encode("utf-8", "surrogateescape"))
    return hasher.hexdigest()


def check_earlier(source: ItemSource, out: Path) -> None:
    """Raise OutputError if ``out`` has an image of another input by the name of a file of ``source``."""
    from cyclorama.errors import OutputError
    from cyclorama.generation.job import hash_file
    from cyclorama.generation.results import JSON_FILE
    from cyclorama.jobs.store import ShardStore

    earlier = read_note(out).get("source") or ShardStore(out).load_values().get("source")
    if earlier in (None, source.address) or not (out / JSON_FILE).exists():
        return
    with (out / JSON_FILE).open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    known = {row["name"]: row["content_sha256"] for row in rows if row.get("output")}
    with tempfile.TemporaryDirectory(prefix="cyclorama-mark-") as scratch:
        for item in source.iterate(Path(scratch)):
            path = Path(item.image or "")
            if item.name in known and path.is_file() and hash_file(path) != known[item.name]:
                raise OutputError(
                    f"{out} has an image of another {item.name}, of {earlier}; choose another --out"
                )


def pack_files(files: Iterator[tuple[str, Path]]) -> Iterator[bytes]:
    """Zips of ``files``; one that is too large for the server is left out."""
    made, archive = io.BytesIO(), None
    for name, path in files:
        if path.stat().st_size > FILE_BYTES - 2**16:
            print(f"cyclorama: {name} has more than {FILE_BYTES >> 20} MB and is not sent", file=sys.stderr)
            continue
        if archive is not None and made.tell() + path.stat().st_size > PART_BYTES:
            archive.close()
            yield made.getvalue()
            made, archive = io.BytesIO(), None
        archive = archive or zipfile.ZipFile(made, "w")
        archive.write(path, name)
    if archive is not None:
        archive.close()
        yield made.getvalue()


def send_inputs(client: Client, source: ItemSource, quiet: bool) -> RemoteWork:
    """A new batch with the table and its files."""
    alone = source.table.kind in ("image", "folder")
    batch = client.batch(None if alone else Path(source.table.name))
    with tempfile.TemporaryDirectory(prefix="cyclorama-send-") as scratch:
        for part in pack_files(list_files(source, Path(scratch))):
            batch = client.add_files(batch.id, part)
            if not quiet:
                print(f"{batch.values['files']} files sent", file=sys.stderr)
    return batch


def follow(client: Client, batch: str, quiet: bool) -> RemoteWork | None:
    """The batch once it has ended, with its progress on stderr; None if Ctrl-C has cancelled it."""
    from cyclorama.jobs.progress import ProgressReport

    try:
        with ProgressReport(quiet=quiet) as progress:
            for event in client.follow(batch):
                if event.type == "progress":
                    if progress.total != event.values["steps"]:
                        progress.start(event.values["steps"])
                    progress.advance(max(0, event.values["step"] - progress.done))
        return client.wait(batch)
    except KeyboardInterrupt:
        client.cancel(batch)
        print("cyclorama: cancelled; run the same command again to go on", file=sys.stderr)
        return None


def fetch(client: Client, batch: RemoteWork, out: Path) -> None:
    """Bring the batch's images and results into ``out``."""
    archive = client.download(batch, out / ".archive.zip")
    try:
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(out)
    finally:
        archive.unlink(missing_ok=True)


def conclude(batch: RemoteWork, out: Path, quiet: bool) -> int:
    """Say how it ended and give the exit code."""
    counts = batch.counts
    for failure in batch.values["failures"]:
        print(f"cyclorama: {failure['error']}: {failure['example']}", file=sys.stderr)
    if not quiet:
        print(f"{counts['images']} images made, {counts['failed']} inputs failed; see {out / 'index.html'}")
    return (1 if counts["done"] else 2) if counts["failed"] else 0


def find_batch(client: Client, out: Path, order: dict[str, Any], mark: str) -> RemoteWork | None:
    """The batch that an earlier run of the same command on the same input has left, if it is still there.

    One that has ended is left until its images were fetched.
    """
    from cyclorama.errors import UnknownIdError

    note = read_note(out)
    known = {name: value for name, value in note.get("order", {}).items() if name not in _SHARED}
    if (note.get("server"), note.get("input"), known) != (client.url, mark, order):
        return None
    try:
        found = client.read(note["batch"])
    except UnknownIdError:
        return None
    return None if found.state in _ENDED and note.get("fetched") else found


def read_note(out: Path) -> dict[str, Any]:
    """What :func:`write_note` wrote; empty without."""
    try:
        note: dict[str, Any] = json.loads((out / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note


def write_note(out: Path, note: dict[str, Any]) -> None:
    """Keep in ``out`` which batch of which server is made for it, of what order and input."""
    from cyclorama.files import write_atomic

    write_atomic(out / NOTE, json.dumps(note, indent=1).encode())
