"""Builds and evaluations over HTTP: one state for all server processes, kept when they end."""

import asyncio
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest
from conftest import Run, app_for, key_for, served
from processes import PATIENCE, children_of, command_of, eventually, runs
from starlette.testclient import TestClient

from qa_service.errors import BuildInProgress, JobInProgress, NotReady
from qa_service.pipeline import QuestionAnswerer
from qa_service.server.builds import Builder
from qa_service.server.evaluations import Evaluations
from qa_service.server.jobs import without_folders
from qa_service.server.process import bound_socket
from qa_service.settings import Settings

QUESTION = b'{"id": 1, "question": "cat", "answerable": false, "references": []}\n'
Worker = Callable[[], TestClient]


class Command:
    """Replaces ``qa-service``: records its start, then waits until the test lets it end with a result."""

    SCRIPT = """
        cd "$0"; echo $$ >> started
        while [ ! -e go ]; do sleep 0.02; done
        if [ "$1" = index ]; then echo '{"documents": 2}'; exit 0; fi
        for output; do :; done
        echo '{"asked": 1, "of": 1}' >&2; mkdir "$output"; echo '{"means": 1}' > "$output/summary.json"
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.line = ("sh", "-c", self.SCRIPT, str(folder))

    def processes(self) -> list[int]:
        """Return the ids of all processes that were started."""
        started = self.folder / "started"
        return [int(line) for line in started.read_text().splitlines()] if started.exists() else []

    def let_end(self) -> None:
        (self.folder / "go").touch()


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    command = Command(tmp_path / "command")
    yield command
    for process in filter(runs, command.processes()):
        os.kill(process, signal.SIGKILL)


@pytest.fixture
def key(settings: Settings) -> dict[str, str]:
    return key_for(settings, "admin")


@contextmanager
def worker(
    answerer: QuestionAnswerer, settings: Settings, key: dict[str, str], command: Command
) -> Iterator[TestClient]:
    """Serve as one of several server processes; requests have an admin key."""
    app = app_for(answerer, settings, job_command=command.line)
    with TestClient(app, base_url="http://localhost", headers=key) as client:
        yield client


def status(client: TestClient) -> str:
    found: str = client.get("/admin/reindex").json()["status"]
    return found


def test_all_server_processes_share_the_state_of_one_build(
    answerer: QuestionAnswerer, settings: Settings, key: dict[str, str], command: Command
) -> None:
    """At any worker the same key is the same build, running or done; another key gets 409 until it is done."""
    one_key, other_key = {"Idempotency-Key": "one"}, {"Idempotency-Key": "other"}
    with worker(answerer, settings, key, command) as one, worker(answerer, settings, key, command) as other:
        assert [status(one), status(other)] == ["idle", "idle"]
        begun = one.post("/admin/reindex", headers=one_key)
        assert (begun.status_code, begun.json()) == (
            202,
            {"status": "building", "exit_code": None, "error": None, "report": None},
        )
        eventually(command.processes)
        for client in (one, other) * 4:
            assert status(client) == "building"
            assert client.post("/admin/reindex", headers=other_key).status_code == 409
            assert client.post("/admin/reindex").status_code == 409
            assert client.post("/admin/reindex", headers=one_key).json()["status"] == "building"
        command.let_end()
        eventually(lambda: status(other) != "building")
        done = {"status": "done", "exit_code": 0, "error": None, "report": {"documents": 2}}
        assert one.get("/admin/reindex").json() == other.get("/admin/reindex").json() == done
        assert other.post("/admin/reindex", headers=one_key).json() == done
    with worker(answerer, settings, key, command) as restarted:
        assert restarted.get("/admin/reindex").json() == done
        assert restarted.post("/admin/reindex", headers=one_key).json() == done
        assert len(command.processes()) == 1
        assert restarted.post("/admin/reindex", headers=other_key).json()["status"] == "building"
        eventually(lambda: status(restarted) == "done")
        assert len(command.processes()) == 2


def test_concurrent_requests_start_one_build(settings: Settings, command: Command) -> None:
    """Sixteen requests to four workers: without a key one starts a build, the rest get 409; with a key all are one."""
    workers = [Builder(settings, command.line) for _ in range(4)]

    def begin(number: int, key: str | None) -> bool:
        try:
            workers[number % 4].begin(key)
        except BuildInProgress:
            return False
        return True

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(begin, range(16), [None] * 16)) == 1
        command.let_end()
        eventually(lambda: all(each.state().status == "done" for each in workers))
        assert sum(threads.map(begin, range(16), ["key"] * 16)) == 16
        eventually(lambda: all(each.state().status == "done" for each in workers))
    assert len(command.processes()) == 2


def test_a_server_process_that_shuts_down_stops_only_its_own_jobs(
    answerer: QuestionAnswerer, settings: Settings, key: dict[str, str], command: Command
) -> None:
    """The other workers report `stopped`, its processes end, and a new job can start; jobs of other workers go on."""
    with worker(answerer, settings, key, command) as other:
        with worker(answerer, settings, key, command) as one:
            one.post("/admin/reindex", headers={"Idempotency-Key": "one"})
            evaluation = one.post("/evaluate", content=QUESTION).json()["id"]
            eventually(lambda: len(command.processes()) == 2)
            with worker(answerer, settings, key, command):
                pass  # this server process starts and stops
            assert status(other) == "building"
            assert other.get(f"/evaluate/{evaluation}").json()["status"] == "running"
        assert not any(map(runs, command.processes()))
        assert status(other) == "stopped"
        assert other.get(f"/evaluate/{evaluation}").json()["status"] == "stopped"
        assert other.post("/admin/reindex", headers={"Idempotency-Key": "one"}).json()["status"] == "stopped"
        assert other.post("/admin/reindex", headers={"Idempotency-Key": "two"}).json()["status"] == "building"
        assert other.post("/evaluate", content=QUESTION).json()["status"] == "running"
        assert other.get(f"/evaluate/{evaluation}").json()["status"] == "stopped"


def test_a_job_that_ignores_sigterm_is_killed(settings: Settings, tmp_path: Path) -> None:
    """By SIGKILL."""
    stubborn = ("sh", "-c", f"trap '' TERM; echo $$ > {tmp_path}/pid; sleep 1000")
    builder = Builder(settings, stubborn, stop_seconds=0.5)
    builder.begin()
    eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    builder.stop()
    eventually(lambda: builder.state().status == "stopped")
    assert not runs(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo 'error: the disk is full' >&2; echo 'a note' >&2; exit 7", ("failed", 7, "the disk is full")),
        ("echo Segmentation >&2; exit 3", ("failed", 3, "Segmentation")),
        ("exit 3", ("failed", 3, "its process ended with exit code 3 and no result")),
        ("kill -KILL $$", ("failed", -9, "its process was ended by SIGKILL, as when memory runs out")),
        ("kill -TERM $$", ("stopped", -15, None)),
        ("echo '{}'; exit 1", ("done", 1, None)),
    ],
)
def test_the_state_of_a_build_says_how_it_ended(
    script: str, expected: tuple[str, int, str | None], settings: Settings
) -> None:
    """With the reason that its process printed, if any."""
    builder = Builder(settings, ("sh", "-c", script))
    builder.begin()
    eventually(lambda: builder.state().status != "building")
    state = builder.state()
    assert (state.status, state.exit_code, state.error) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such policy")
def test_a_job_gives_way_to_questions() -> None:
    """Whatever else wants to compute interrupts it."""
    program = (
        "import os; from qa_service.cli.job import give_way; give_way(); print(os.sched_getscheduler(0), os.nice(0))"
    )
    printed = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert printed.split() == [str(os.SCHED_IDLE), "19"]


def test_a_process_that_can_not_be_started_is_a_failed_build(settings: Settings) -> None:
    """And does not prevent the next one."""
    builder = Builder(settings, ("/no/such/program",))
    for _ in range(2):
        builder.begin()
        eventually(lambda: builder.state().status == "failed")
    assert builder.state().error == "its process can't be started: No such file or directory"


def test_errors_of_jobs_contain_no_folders(settings: Settings, tmp_path: Path) -> None:
    """Neither folders of the settings nor others; files keep their names, and URLs their paths."""
    own = settings.model_copy(update={"collections": ("hr=/srv/staff files/hr",), "index": Path("index")})
    run = settings.data / "evaluations/1/status.json"
    told = {
        f"another process is building {tmp_path}/index; wait": "another process is building index; wait",
        f"{settings.data}/evaluations/1/questions.jsonl: line 1: not JSON": "questions.jsonl: line 1: not JSON",
        "source folder /srv/staff files/hr does not exist": "source folder hr does not exist",
        "/usr/lib/python3.11/json.py:12: broken": "json.py:12: broken",
        "no server at http://localhost:19530/path/x": "no server at http://localhost:19530/path/x",
        "zoo/animals.md can't be read": "zoo/animals.md can't be read",
    }
    assert {said: without_folders(said, own, run) for said in told} == told


def test_an_unwritable_data_folder_is_reported(
    answerer: QuestionAnswerer, settings: Settings, key: dict[str, str], command: Command
) -> None:
    """503 without its path, and no process starts; a missing folder has a readable state."""
    with worker(answerer, settings, key, command) as client:
        (settings.data / "jobs").write_text("a file where a folder should be")
        (settings.data / "evaluations").write_text("a file where a folder should be")
        for response in (client.post("/admin/reindex"), client.post("/evaluate", content=QUESTION)):
            assert response.status_code == 503
            assert str(settings.data) not in response.text
        assert status(client) == "idle"
    assert not command.processes()
    assert Builder(settings.model_copy(update={"data": settings.data / "none"})).state().status == "idle"
    assert not (settings.data / "none").exists()


async def body(*parts: bytes, given: asyncio.Event | None = None) -> AsyncIterator[bytes]:
    """Yield the parts of a body; with ``given``, set it then and never end."""
    for part in parts:
        yield part
    if given is not None:
        given.set()
        await asyncio.Event().wait()


def test_a_second_upload_is_rejected_during_the_first(settings: Settings, command: Command) -> None:
    """By every worker; if its client disconnects, its files are removed and another one can start."""

    async def run() -> None:
        one, other = (Evaluations(settings, command.line) for _ in range(2))
        given = asyncio.Event()
        receiving = asyncio.create_task(one.begin("jsonl", 3, body(QUESTION, given=given)))
        await given.wait()
        for evaluations in (one, other):
            with pytest.raises(JobInProgress):
                await evaluations.begin("jsonl", 3, body(QUESTION))
        receiving.cancel()
        with suppress(asyncio.CancelledError):
            await receiving
        assert [*(settings.data / "evaluations").iterdir()] == []
        begun = await other.begin("jsonl", 3, body(QUESTION, QUESTION))
        assert begun.status == "running"
        command.let_end()
        await asyncio.to_thread(eventually, lambda: one.state(begun.id).status != "running")
        state = await asyncio.to_thread(one.state, begun.id)
        assert (state.status, state.asked, state.summary) == ("done", 1, {"means": 1})

    asyncio.run(run())


def test_an_interrupted_upload_is_deleted(
    answerer: QuestionAnswerer, settings: Settings, key: dict[str, str], command: Command
) -> None:
    """Over a real connection: the incomplete file is removed, and the next upload is accepted."""
    head = (
        f"POST /evaluate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\nAuthorization: {key['Authorization']}"
    )
    folder = settings.data / "evaluations"
    with served(answerer, settings, job_command=command.line) as port:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(f"{head}\r\n\r\n".encode() + QUESTION)
            eventually(lambda: [*folder.glob("*/questions.jsonl")])
            address = f"http://localhost:{port}/evaluate"
            assert httpx2.post(address, headers=key, content=QUESTION, timeout=PATIENCE).status_code == 409
        eventually(lambda: not [*folder.iterdir()])
        eventually(lambda: httpx2.post(address, headers=key, content=QUESTION, timeout=PATIENCE).status_code == 202)
    assert not any(map(runs, command.processes()))


def test_a_client_that_disconnects_at_any_time_blocks_no_other(settings: Settings, command: Command) -> None:
    """Cancelled after each number of steps of the event loop: the next upload is accepted, unless this one was."""
    command.let_end()

    async def run(steps: int) -> None:
        evaluations = Evaluations(settings, command.line)
        receiving = asyncio.create_task(evaluations.begin("jsonl", 3, body(QUESTION)))
        for _ in range(steps):
            await asyncio.sleep(0)
        receiving.cancel()
        with suppress(asyncio.CancelledError, JobInProgress):
            await receiving
        async with asyncio.timeout(PATIENCE):
            while True:
                with suppress(JobInProgress):
                    await evaluations.begin("jsonl", 3, body(QUESTION))
                    return
                await asyncio.sleep(0.05)

    for steps in (0, 1, 2, 3, 5, 10, 30, 100, 1000):
        asyncio.run(run(steps))


def test_a_full_disk_leaves_no_incomplete_upload(settings: Settings, command: Command) -> None:
    """503, no file is left behind, and the next upload is accepted."""

    async def run() -> None:
        evaluations = Evaluations(settings, command.line)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        try:
            with pytest.raises(NotReady, match="make room in the data folder"):
                await evaluations.begin("jsonl", 3, body(*[b"x" * 50_000] * 3))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert [*(settings.data / "evaluations").iterdir()] == []
        assert (await evaluations.begin("jsonl", 3, body(QUESTION))).status == "running"
        await asyncio.to_thread(evaluations.stop)

    asyncio.run(run())


def test_only_the_newest_evaluations_are_kept(settings: Settings, command: Command) -> None:
    """Three of six; files of a killed upload are deleted too, those of a running one never."""
    command.let_end()
    folder = settings.data / "evaluations"
    few = Evaluations(settings.model_copy(update={"keep_evaluations": 3}), command.line)

    async def begin() -> str:
        return (await few.begin("jsonl", 3, body(QUESTION))).id

    ids = []
    for _ in range(6):
        ids.append(asyncio.run(begin()))
        eventually(lambda: few.state(ids[-1]).status == "done")
        left = folder / os.urandom(16).hex()
        left.mkdir()
        (left / "questions.jsonl").write_bytes(QUESTION)
    assert [state.id for state in few.states()] == ids[:2:-1]
    (folder / "notes").mkdir()
    folder.chmod(0o755)  # as earlier versions created it
    assert {path.name for path in folder.iterdir()} == {*ids[-3:], left.name, "notes"}
    Evaluations(settings, command.line).recover()
    assert {path.name for path in folder.iterdir()} == {*ids[-3:], "notes"}
    assert folder.stat().st_mode & 0o777 == 0o700
    (command.folder / "go").unlink()
    running = asyncio.run(begin())
    Evaluations(settings.model_copy(update={"keep_evaluations": 1}), command.line).recover()
    assert {path.name for path in folder.iterdir()} == {*ids[-2:], running, "notes"}
    few.stop()


def test_files_of_jobs_are_private_to_their_owner(
    answerer: QuestionAnswerer, settings: Settings, key: dict[str, str], command: Command
) -> None:
    """Question file, states, and the files of the process: files 0600, folders 0700, with the widest umask."""
    command.let_end()
    (settings.data / "evaluations").mkdir(mode=0o755)
    before = os.umask(0)
    try:
        with worker(answerer, settings, key, command) as client:
            client.post("/admin/reindex")
            evaluation = client.post("/evaluate", content=QUESTION).json()["id"]
            eventually(lambda: client.get(f"/evaluate/{evaluation}").json()["status"] == "done")
            eventually(lambda: status(client) == "done")
    finally:
        os.umask(before)
    found = {path: path.stat().st_mode & 0o777 for path in settings.data.rglob("*")}
    assert {path.relative_to(settings.data).as_posix() for path in found} >= {
        "jobs/reindex.json",
        f"evaluations/{evaluation}/questions.jsonl",
        f"evaluations/{evaluation}/status.json",
        f"evaluations/{evaluation}/run/summary.json",
    }
    assert {mode for path, mode in found.items() if path.is_file()} == {0o600}
    assert {mode for path, mode in found.items() if path.is_dir()} == {0o700}


class Server:
    """``qa-service serve`` as a process."""

    def __init__(self, folder: Path, arguments: list[str]) -> None:
        self._log = (folder / "log").open("w+")
        command = [sys.executable, "-m", "qa_service", "serve", *arguments]
        self.process = subprocess.Popen(command, stderr=self._log, cwd=folder)
        path = folder / "log"
        eventually(lambda: "http://" in path.read_text() or self.process.poll() is not None)
        found = re.search(r"http://[\d.]+:(\d+)", path.read_text())
        assert found is not None, path.read_text()
        self.port = int(found[1])
        self.client = httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=PATIENCE)
        eventually(self.ready)

    def ready(self) -> bool:
        with suppress(httpx2.HTTPError):
            return self.client.get("/readyz").status_code == 200
        return False

    def end(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.wait(PATIENCE)
        self.client.close()
        self._log.close()


@pytest.fixture
def arguments(here: list[str], run: Run) -> list[str]:
    assert run("index", *here)[0] == 0
    return here


def many_questions() -> bytes:
    """Return more questions than are asked before a test ends."""
    return b"".join(QUESTION.replace(b"1", str(number).encode()) for number in range(20_000))


def jobs_of(servers: list[int], command: str) -> list[int]:
    """Return the processes of server processes that run a command."""
    return [child for each in servers for child in children_of(each) if command in command_of(child)]


def test_a_job_of_a_killed_server_ends_and_is_marked_as_stopped(arguments: list[str], tmp_path: Path) -> None:
    """After kill -9 its process ends and its state is `stopped`; while the process has not ended, it is `running`."""
    key = key_for(Settings(data=tmp_path / "data"), "admin")
    server = Server(tmp_path, [*arguments, "--port", "0"])
    try:
        evaluation = server.client.post("/evaluate", headers=key, content=many_questions()).json()["id"]
        eventually(lambda: server.client.get(f"/evaluate/{evaluation}", headers=key).json()["asked"] > 0)
        server.client.post("/admin/reindex", headers=key)
        (evaluating,), (building,) = (jobs_of([server.process.pid], name) for name in ("evaluate", "index"))
        os.kill(evaluating, signal.SIGSTOP)  # so that it can't notice the end of the server
    finally:
        server.end(signal.SIGKILL)
    eventually(lambda: not runs(building))
    server = Server(tmp_path, [*arguments, "--port", str(server.port)])
    try:
        assert server.client.get("/admin/reindex", headers=key).json()["status"] == "stopped"
        assert server.client.get(f"/evaluate/{evaluation}", headers=key).json()["status"] == "running"
        assert server.client.post("/evaluate", headers=key, content=QUESTION).status_code == 409
        os.kill(evaluating, signal.SIGCONT)
        eventually(lambda: not runs(evaluating))
        assert server.client.get(f"/evaluate/{evaluation}", headers=key).json()["status"] == "stopped"
        second = server.client.post("/evaluate", headers=key, content=many_questions())
        assert second.status_code == 202
        assert server.client.post("/admin/reindex", headers=key).status_code == 202
    finally:
        server.end(signal.SIGTERM)
    states = [tmp_path / "data/jobs/reindex.json", tmp_path / f"data/evaluations/{second.json()['id']}/status.json"]
    assert [json.loads(path.read_bytes())["status"] for path in states] == ["stopped", "stopped"]


def test_server_processes_and_their_jobs_end_with_their_parent(
    arguments: list[str],
    tmp_path: Path,
    answerer: QuestionAnswerer,
    settings: Settings,
    key: dict[str, str],
    command: Command,
) -> None:
    """Even if it is killed: its port is free, each worker of another reports `stopped`, and a job can start."""
    server = Server(tmp_path, [*arguments, "--workers", "2", "--port", "0"])
    workers = children_of(server.process.pid)
    try:
        evaluation = server.client.post("/evaluate", headers=key, content=many_questions()).json()["id"]
        eventually(lambda: jobs_of(workers, "evaluate"))
        evaluating = jobs_of(workers, "evaluate")
    finally:
        server.end(signal.SIGKILL)
    eventually(lambda: not any(map(runs, workers + evaluating)))
    bound_socket("127.0.0.1", server.port).close()
    with worker(answerer, settings, key, command) as one, worker(answerer, settings, key, command) as other:
        for client in (one, other):
            assert client.get(f"/evaluate/{evaluation}").json()["status"] == "stopped"
        assert other.post("/evaluate", content=QUESTION).status_code == 202
