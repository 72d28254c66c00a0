"""Files arrive whole or not at all, and what is not what it claims to be is refused."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.data.load import load
from assay.engine import artifacts
from assay.engine.artifacts import (
    Arriving,
    Depot,
    Shelf,
    data_key,
    fill_from,
    in_order,
    keep_newest,
    pieces,
)
from assay.engine.ray_worker import RayWorker
from assay.errors import BadArgumentError, StoreError

OPTIONS = {
    "preload": [],
    "memory": None,
    "accelerated": False,
    "every": 0.05,
    "artifacts": "",
    "same_files": True,
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return load("digits", folder=tmp_path_factory.mktemp("data")).folder


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[RayWorker]:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    options = ["--handlers", "ray_handlers", "--cold"]
    opened = RayWorker(json.dumps({**OPTIONS, "options": options}))
    yield opened
    opened.close()


def copy(source: Path, to: Path, piece: int = 1000) -> None:
    messages = []
    for path in in_order(source):
        content = path.read_bytes()
        parts = [content[i : i + piece] for i in range(0, len(content), piece)] or [b""]
        messages += [(path.name, lambda p=p: p, p is parts[-1]) for p in parts]
    fill_from(messages, to)


def listen(worker: RayWorker, until: str = "ended") -> list[tuple[dict[str, Any], bytes]]:
    told: list[tuple[dict[str, Any], bytes]] = []
    deadline = time.monotonic() + 20
    while not told or until not in told[-1][0]:
        assert time.monotonic() < deadline
        told += [(json.loads(text), content) for text, content in worker.poll(0.1)]
    return told


def test_the_file_that_makes_a_folder_whole_comes_last(tmp_path: Path):
    for name in ("meta.json", "x.npy", "record.json", ".hidden", "a"):
        (tmp_path / name).touch()
    assert [path.name for path in in_order(tmp_path)] == ["a", "x.npy", "meta.json", "record.json"]


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 20, 25])
def test_pieces_add_up_and_the_last_one_is_known(tmp_path: Path, size: int):
    source = tmp_path / "a"
    source.write_bytes(bytes(range(size)))
    with source.open("rb") as file:
        found = list(pieces(file, 10))
    assert b"".join(found) == source.read_bytes()
    assert len(found) == max(1, -(-size // 10))


def test_a_file_is_absent_until_its_last_piece(tmp_path: Path):
    arriving = Arriving(tmp_path / "a")
    arriving.add(b"12", last=False)
    assert not (tmp_path / "a").exists()
    arriving.add(b"3", last=True)
    assert (tmp_path / "a").read_bytes() == b"123"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("name", ["../a", "b/a", ".a", "/a", ""])
def test_a_name_that_leaves_its_folder_is_refused(tmp_path: Path, name: str):
    with pytest.raises(StoreError) as caught:
        fill_from([(name, lambda: b"x", True)], tmp_path)
    assert str(caught.value) == f"A file that travels has a plain name. Received {name!r}."


def test_a_data_set_is_copied_once_a_machine(tmp_path: Path, prepared: Path):
    key, shelf, copies = data_key(prepared), Shelf(tmp_path), []

    def fill(folder: Path) -> None:
        copies.append(folder)
        time.sleep(0.1)
        copy(prepared, folder)

    askers = [threading.Thread(target=shelf.add, args=(key, fill)) for _ in range(3)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert len(copies) == 1
    found = shelf.find(key)
    assert found is not None
    assert {p.name: p.read_bytes() for p in found.iterdir()} == {
        p.name: p.read_bytes() for p in prepared.iterdir()
    }


def test_other_data_than_were_asked_for_are_refused(tmp_path: Path, prepared: Path):
    shelf = Shelf(tmp_path)
    with pytest.raises(StoreError) as caught:
        shelf.add("0123456789abcdef", lambda folder: copy(prepared, folder))
    assert str(caught.value) == "The data that arrived are not those named 0123456789abcdef."
    assert shelf.find("0123456789abcdef") is None
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_checkpoints_that_newer_ones_replace_go_and_all_with_the_record(tmp_path: Path):
    names = [f"checkpoint-{step:09d}-{'0' * 16}.safetensors" for step in (5, 10, 200)]
    for name in names:
        (tmp_path / name).touch()
    keep_newest(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == names[1:]
    (tmp_path / "record.json").touch()
    keep_newest(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_a_depot_gives_back_what_was_put(tmp_path: Path, prepared: Path):
    depot = Depot(f"file://{tmp_path}/depot")
    depot.check()
    assert depot.put_folder(prepared, "data/k")[-1] == "meta.json"
    before = (tmp_path / "depot/data/k/x.npy").stat().st_mtime_ns
    depot.put_folder(prepared, "data/k")
    assert (tmp_path / "depot/data/k/x.npy").stat().st_mtime_ns == before
    depot.get("data/k/x.npy", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == (prepared / "x.npy").read_bytes()
    depot.remove("data/k")
    assert not (tmp_path / "depot/data/k").exists()


def test_a_file_larger_than_a_piece_comes_out_of_a_depot_whole(
    tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(artifacts.pieces, "__defaults__", (1000,))
    depot = Depot(f"file://{tmp_path}/depot")
    depot.put(prepared / "y.npy", "y")
    depot.get("y", tmp_path / "y")
    assert (tmp_path / "y").read_bytes() == (prepared / "y.npy").read_bytes()


def test_a_depot_that_cannot_be_written_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(BadArgumentError) as caught:
        Depot(f"file://{tmp_path}/file").check()
    assert str(caught.value).startswith(
        f"Artifacts need a folder that can be written and read. Received '{tmp_path}/file': "
    )


def test_a_url_without_a_driver_is_refused():
    with pytest.raises(BadArgumentError) as caught:
        Depot("nothing://bucket")
    assert str(caught.value) == (
        "Artifacts travel through a URL that fsspec can open. Received 'nothing://bucket': "
        "Protocol not known: nothing."
    )


def test_a_worker_tells_of_events_and_of_the_end(worker: RayWorker):
    job = {"kind": "test:talk", "key": "a", "payload": {"times": 3}}
    worker.begin(json.dumps(job), "[]")
    told = [facts for facts, _ in listen(worker)]
    assert [facts["event"]["step"] for facts in told[:-1]] == [0, 1, 2]
    assert told[-1]["ended"] == {
        "status": "done",
        "value": {"long": "y"},
        "reason": "",
        "detail": "",
    }


def test_a_worker_asks_for_data_that_it_does_not_have_and_keeps_them(
    worker: RayWorker, prepared: Path, tmp_path: Path
):
    key = data_key(prepared)
    payload = {"data": "/not/here", "data_key": key}
    job = json.dumps({"kind": "test:echo", "key": "a", "payload": payload})
    worker.begin(job, "[]")
    told = listen(worker, until="wants")
    assert told[-1][0]["wants"] == key
    files = in_order(prepared)
    worker.give(
        json.dumps({"pieces": [(f.name, True) for f in files]}), [f.read_bytes for f in files]
    )
    used = Path(listen(worker)[-1][0]["ended"]["value"]["echo"]["data"])
    assert used == tmp_path / "cache" / "carried-data" / key
    worker.begin(job, "[]")  # a second time it asks for nothing
    assert [*listen(worker)[0][0]] == ["ended"]


def test_a_worker_uses_the_data_that_it_sees_where_the_parent_has_them(
    worker: RayWorker, prepared: Path
):
    payload = {"data": str(prepared), "data_key": data_key(prepared)}
    worker.begin(json.dumps({"kind": "test:echo", "key": "a", "payload": payload}), "[]")
    assert listen(worker)[-1][0]["ended"]["value"]["echo"]["data"] == str(prepared)


def test_a_worker_that_is_stopped_while_it_waits_for_data_ends(worker: RayWorker):
    payload = {"data": "/not/here", "data_key": "0" * 16}
    worker.begin(json.dumps({"kind": "test:echo", "key": "a", "payload": payload}), "[]")
    listen(worker, until="wants")
    worker.stop(5.0)
    assert listen(worker)[-1][0]["ended"] == {"status": "stopped"}


def test_other_code_of_a_candidate_is_not_run(worker: RayWorker):
    payload = {"candidate": {"name": "mlp", "digest": "other"}}
    worker.begin(json.dumps({"kind": "test:echo", "key": "a", "payload": payload}), "[]")
    ended = listen(worker)[-1][0]["ended"]
    assert ended["status"] == "failed"
    assert ended["reason"] == (
        "A candidate's code must be the same on every machine. That of mlp differs on "
        f"{json.loads(worker.facts())['host']}; copy it there."
    )
