"""Jobs go in, results come out, whatever happens in between. Processes are really killed."""

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path
from threading import Timer

import handlers
import pytest
from processes import OPTIONS, alive, kill, wait_until

from assay.engine import executor
from assay.engine.executor import Inline, Job, JobResult, Pool, describe_end
from assay.engine.spec import Event
from assay.engine.worker import HANDLERS
from assay.errors import BadArgumentError, StoreError, TrialError


def job(kind: str, key: str = "a", /, **payload: object) -> Job:
    return Job(f"test:{kind}", key, payload)


def counting(folder: Path, key: str = "a", **payload: object) -> Job:
    return job("count", key, **{"file": str(folder / key), "steps": 20, "name": key, **payload})


def test_every_job_comes_back_with_its_own_result(pool: Pool):
    jobs = [job("echo", str(i), i=i) for i in range(30)]
    found = {j.key: result for j, result in pool.run(jobs)}
    assert {key: result.value["echo"] for key, result in found.items()} == {
        str(i): {"i": i} for i in range(30)
    }
    assert {result.status for result in found.values()} == {"done"}


def test_every_job_has_a_process_of_its_own_forked_from_the_warm_one(pool: Pool):
    values = [result.value for _, result in pool.run([job("echo") for _ in range(5)])]
    assert len({value["pid"] for value in values}) == 5
    assert {value["parent"] for value in values} == {pool.pid}


def test_a_pool_serves_many_runs(pool: Pool):
    pids = set()
    for _ in range(3):
        assert [result.status for _, result in pool.run([job("echo")])] == ["done"]
        pids.add(pool.pid)
    assert len(pids) == 1
    assert list(pool.run([])) == []


@pytest.mark.parametrize(("at_once", "most"), [(None, 2), (1, 1), (3, 3)])
def test_so_many_jobs_run_at_once_in_the_order_given(
    pool: Pool, tmp_path: Path, at_once: int | None, most: int
):
    jobs = [job("note", file=str(tmp_path / "log"), name=str(i), seconds=0.1) for i in range(6)]
    list(pool.run(jobs, at_once=at_once))
    lines = (tmp_path / "log").read_text().split()
    running = [sum(1 if x[0] == "+" else -1 for x in lines[: i + 1]) for i in range(len(lines))]
    assert max(running) == most
    began = [int(line[1:]) for line in lines if line[0] == "+"]
    assert all(abs(place - name) < most for place, name in enumerate(began))


def test_events_arrive_whole_and_in_order_however_long(pool: Pool):
    heard: list[Event] = []
    jobs = [job("talk", str(i), times=50, size=30_000) for i in range(2)]
    results = list(pool.run(jobs, heard.append))
    assert [len(result.value["long"]) for _, result in results] == [30_000] * 2
    assert sorted(event.step for event in heard) == sorted([*range(50)] * 2)
    assert {len(event.text) for event in heard} == {30_000}


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("value", "ValueError: two lines"),
        ("silent", "ValueError"),
        ("assay", "The sentence of the error."),
        ("memory", "out of memory"),
        ("torch", "out of memory"),
    ],
)
def test_an_error_is_one_sentence_and_the_others_go_on(pool: Pool, how: str, reason: str):
    results = {j.key: r for j, r in pool.run([job("fail", how=how), job("echo", "b")])}
    failed, fine = results["a"], results["b"]
    assert (failed.status, failed.reason) == ("failed", reason)
    assert failed.detail.startswith("Traceback")
    assert fine.status == "done"


def test_an_unknown_kind_of_job_is_named(pool: Pool):
    (_, result), *_ = pool.run([Job("dance", "a", {})])
    assert result.status == "failed"
    kinds = ", ".join(sorted([*HANDLERS, *handlers.HANDLERS]))
    assert result.reason == f"A job's kind must be one of {kinds}. Received 'dance'."


@pytest.mark.parametrize("make", [lambda: Pool(2, options=OPTIONS), Inline])
def test_files_that_cannot_be_written_stop_the_study(make, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("assay.engine.worker.HANDLERS", {**HANDLERS, **handlers.HANDLERS})
    with make() as opened, pytest.raises(StoreError) as caught:
        list(opened.run([job("fail", how="disk"), job("echo")]))
    assert str(caught.value) == "Cannot write x."


def test_memory_beyond_the_limit_fails_that_job_alone():
    with Pool(2, options=OPTIONS, memory=200_000_000) as pool:
        jobs = [job("grab", "much", bytes=400_000_000), job("grab", "little", bytes=1_000_000)]
        found = {j.key: result for j, result in pool.run(jobs)}
    assert (found["much"].status, found["much"].reason) == ("failed", "out of memory")
    assert found["little"].value == {"bytes": 1_000_000}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"signal": signal.SIGSEGV}, "crashed with signal 11 (SIGSEGV)"),
        ({"signal": signal.SIGABRT}, "crashed with signal 6 (SIGABRT)"),
        ({"signal": signal.SIGBUS}, "crashed with signal 7 (SIGBUS)"),
        ({"code": 3}, "ended without a result (exit code 3)"),
        ({"code": 0}, "ended without a result (exit code 0)"),
    ],
)
def test_a_crash_is_not_tried_again(pool: Pool, tmp_path: Path, payload: dict, reason: str):
    (_, result), *_ = pool.run([job("die", count=str(tmp_path / "n"), **payload)])
    assert result == JobResult("failed", {}, reason, "last words")
    assert (tmp_path / "n").read_text() == "x"


def test_a_job_killed_from_outside_is_tried_twice_again(pool: Pool, tmp_path: Path):
    heard: list[Event] = []
    dies = job("die", count=str(tmp_path / "n"), signal=signal.SIGKILL, candidate={"name": "net"})
    (_, result), *_ = pool.run([dies], heard.append)
    reason = "killed by signal 9 (SIGKILL) 3 times (out of memory?)"
    assert result == JobResult("failed", {}, reason, "last words")
    assert (tmp_path / "n").read_text() == "xxx"
    again = Event(kind="resume", candidate="net", text="killed by signal 9 (SIGKILL); trying again")
    assert heard == [again, again]


@pytest.mark.parametrize("times", [1, 2])
def test_a_job_that_survives_a_later_try_is_done(pool: Pool, tmp_path: Path, times: int):
    dies = job("die", count=str(tmp_path / "n"), signal=signal.SIGKILL, times=times)
    (_, result), *_ = pool.run([dies])
    assert result == JobResult("done", {"tries": times + 1})


def test_a_kill_by_the_kernel_for_memory_is_told_apart(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    counts = iter(range(100))  # as if the kernel had killed one more at every look
    monkeypatch.setattr(executor, "kills_for_memory", lambda: next(counts))
    (_, result), *_ = pool.run([job("die", count=str(tmp_path / "n"), signal=signal.SIGKILL)])
    assert result.reason == "out of memory: the system killed the process"
    assert (tmp_path / "n").read_text() == "x"


def test_a_child_that_somebody_terminates_continues(pool: Pool, tmp_path: Path):
    heard: list[Event] = []

    def terminate_once(event: Event) -> None:
        heard.append(event)
        if event.step == 5 and len(heard) == 5:
            os.kill(pool.children[0], signal.SIGTERM)

    (_, result), *_ = pool.run([counting(tmp_path)], terminate_once)
    assert result.status == "done"
    assert result.value["began"] >= 5


def test_random_kills_of_children_change_no_result(pool: Pool, tmp_path: Path):
    rng, kills = random.Random(0), 0

    def hurt(event: Event) -> None:
        nonlocal kills
        if event.kind == "progress" and pool.children and rng.random() < 0.04:
            with suppress(ProcessLookupError):  # it has just ended
                kill(rng.choice(pool.children))
                kills += 1

    jobs = [counting(tmp_path, f"j{i}", seconds=0.004) for i in range(8)]
    found = {j.key: result for j, result in pool.run(jobs, hurt)}
    assert kills >= 3
    assert len(found) == 8
    for result in found.values():  # three kills of one job are too many, and are said so
        assert result.value.get("steps") == 20 or "3 times" in result.reason


def test_a_killed_warm_process_is_replaced_and_the_jobs_continue(pool: Pool, tmp_path: Path):
    first, children = pool.pid, []

    def hurt(event: Event) -> None:
        if event.step == 5 and pool.pid == first:
            children.extend(pool.children)
            kill(first)

    found = {j.key: r for j, r in pool.run([counting(tmp_path, k) for k in "abcd"], hurt)}
    assert pool.pid != first
    assert sorted(found) == ["a", "b", "c", "d"]
    assert {result.value["steps"] for result in found.values()} == {20}
    assert any(result.value["began"] > 0 for result in found.values())
    assert len(set(children)) == 2
    wait_until(lambda: not any(map(alive, children)))


def test_a_warm_process_that_keeps_dying_ends_the_run_in_words(pool: Pool, tmp_path: Path):
    def hurt(event: Event) -> None:
        kill(pool.pid)

    with pytest.raises(TrialError) as caught:
        list(pool.run([counting(tmp_path, seconds=0.05)], hurt))
    assert str(caught.value) == (
        "The worker process must stay alive. It has died twice in a row: killed by signal 9 "
        "(SIGKILL); what was measured is kept, run the same command again to continue."
    )


def test_a_warm_process_that_cannot_start_says_why():
    options = ["--handlers", "no_such_module", "--cold"]
    with Pool(1, options=options) as pool, pytest.raises(TrialError) as caught:
        list(pool.run([job("echo")]))
    assert str(caught.value) == (
        "The worker process must stay alive. It has died twice in a row: ended without a result "
        "(exit code 1), ModuleNotFoundError: No module named 'no_such_module'; what was measured "
        "is kept, run the same command again to continue."
    )


def test_a_stop_lets_jobs_write_a_checkpoint(pool: Pool, tmp_path: Path):
    heard: list[Event] = []

    def stop(event: Event) -> None:
        heard.append(event)
        pool.stop()

    jobs = [counting(tmp_path, k, steps=10_000) for k in "abcd"]
    began = time.monotonic()
    found = {j.key: result.status for j, result in pool.run(jobs, stop)}
    assert time.monotonic() - began < 5
    assert found in ({"a": "stopped", "b": "stopped"}, {"a": "stopped"}, {"b": "stopped"})
    assert not (tmp_path / "c").exists()
    assert list(pool.run([job("echo")])) == []
    written = [tmp_path / name for name in found if (tmp_path / name).exists()]
    assert written  # the one that was heard; another may be stopped before its first step
    assert all(int(path.read_text()) >= 1 for path in written)


def test_a_job_that_ignores_the_stop_is_killed_after_the_grace(pool: Pool):
    children: list[int] = []

    def stop(event: Event) -> None:
        children.extend(pool.children)
        pool.stop(grace=0.3)

    began = time.monotonic()
    (_, result), *_ = pool.run([job("deaf")], stop)
    assert result == JobResult("stopped")
    assert 0.3 <= time.monotonic() - began < 5
    assert len(set(children)) == 1
    wait_until(lambda: not alive(children[0]))


def test_what_later_jobs_need_is_imported_while_the_first_ones_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("IMPORTED", str(tmp_path / "imported"))
    jobs = [
        job("imported", key, module="later_import", file=str(tmp_path / "imported")) for key in "ab"
    ]
    with Pool(1, later=["no_such_module", "later_import"], options=OPTIONS) as pool:
        found = [result.value["there"] for _, result in pool.run(jobs)]
    assert found == [False, True]


def test_a_stop_while_the_warm_process_imports_is_quick():
    with Pool(1, options=["--handlers", "slow_import", "--cold"]) as pool:
        began = time.monotonic()
        Timer(0.3, pool.stop).start()
        assert [result.status for _, result in pool.run([job("echo")])] == ["stopped"]
        assert time.monotonic() - began < 3


def test_a_kill_ends_everything_at_once(pool: Pool, tmp_path: Path):
    children: list[int] = []

    def end(event: Event) -> None:
        if len(pool.children) == 2 and not children:
            children.extend(pool.children)
            pool.kill()

    jobs = [counting(tmp_path, k, steps=10_000) for k in "abc"]
    assert [result.status for _, result in pool.run(jobs, end)] == ["stopped"] * 2
    wait_until(lambda: not any(map(alive, children)))


def test_a_callback_that_raises_leaves_no_process(pool: Pool, tmp_path: Path):
    children: list[int] = []

    def fail(event: Event) -> None:
        children.extend(pool.children)
        raise KeyError("planted")

    with pytest.raises(KeyError, match="planted"):
        list(pool.run([counting(tmp_path, k, steps=10_000) for k in "ab"], fail))
    assert children
    wait_until(lambda: not any(map(alive, children)))
    assert [result.status for _, result in pool.run([job("echo")])] == ["done"]


def test_results_nobody_waits_for_leave_no_process(pool: Pool, tmp_path: Path):
    first = job("note", file=str(tmp_path / "log"), name="n", seconds=0.5)
    running = pool.run([first, counting(tmp_path, steps=10_000)])
    next(running)
    children = pool.children
    running.close()
    assert len(children) == 1
    wait_until(lambda: not any(map(alive, children)))


def test_a_closed_pool_leaves_no_process_and_no_file(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Pool(2, options=OPTIONS) as pool:
        list(pool.run([job("echo")]))
        warm = pool.pid
        assert alive(warm)
        assert len(list(tmp_path.iterdir())) == 1
    assert not alive(warm)
    assert list(tmp_path.iterdir()) == []


def test_a_pool_works_inside_its_block_only():
    with pytest.raises(BadArgumentError) as caught:
        list(Pool(1).run([job("echo")]))
    assert str(caught.value) == "A Pool works inside its `with` block. Received a call outside."


@pytest.mark.parametrize("workers", [0, -1])
def test_a_pool_without_workers_is_refused(workers: int):
    with pytest.raises(BadArgumentError) as caught:
        Pool(workers)
    assert str(caught.value) == f"`workers` must be at least 1. Received workers={workers}."


def test_what_a_job_prints_stays_off_the_terminal(
    pool: Pool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    list(pool.run([job("die", count=str(tmp_path / "n"), code=0)]))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended without a result (exit code 0)"),
        (-9, "killed by signal 9 (SIGKILL)"),
        (-11, "crashed with signal 11 (SIGSEGV)"),
        (-40, "crashed with signal 40"),
    ],
)
def test_an_end_is_described(code: int, words: str):
    assert describe_end(code) == words


def test_the_same_jobs_run_inline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("assay.engine.worker.HANDLERS", handlers.HANDLERS)
    heard: list[Event] = []
    with Inline() as inline:
        jobs = [job("echo", i=1), job("fail", how="assay"), job("talk", times=2)]
        results = [result for _, result in inline.run(jobs, heard.append)]
        assert [r.status for r in results] == ["done", "failed", "done"]
        assert results[0].value["pid"] == os.getpid()
        assert [event.step for event in heard] == [0, 1]
        jobs = [counting(tmp_path, "a"), counting(tmp_path, "b")]
        stopped = list(inline.run(jobs, lambda event: inline.stop()))
        assert [(j.key, r.status) for j, r in stopped] == [("a", "stopped")]
