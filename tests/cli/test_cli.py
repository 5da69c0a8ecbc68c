"""The command line as users see it: output, exit codes, one-line errors, no tracebacks."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from conftest import QUESTIONS, ROOT, Run
from processes import PATIENCE, eventually, serving
from verdicts import CONFLICT, MISSING, QUESTION, QUOTE, VERDICTS, with_verdict

from qa_service.cli import doctor
from qa_service.cli.show import print_answer, printable
from qa_service.datatypes import AnswerVerdict
from qa_service.embedding import ModelIdentity
from qa_service.index.disk import IndexFolder
from qa_service.pipeline import QuestionAnswerer

Write = Callable[[dict[str, str | bytes]], Path]


def test_a_build_leaves_the_cores_to_the_model(run: Run, here: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy gets one thread unless the environment has a valid number."""
    for given, taken in ((None, "1"), ("2", "2"), ("0", "1")):
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
        if given is not None:
            monkeypatch.setenv("OPENBLAS_NUM_THREADS", given)
        monkeypatch.setattr(os, "cpu_count", lambda: 2)
        assert run("index", *here)[0] == 0
        assert os.environ["OPENBLAS_NUM_THREADS"] == taken
        assert "OMP_NUM_THREADS" not in os.environ


def test_index_ask_and_index_again(run: Run, here: list[str]) -> None:
    """Build, build again without changes, ask, ask as JSON."""
    code, out, err = run("index", *here)
    assert (code, err) == (0, "")
    assert "2 files: 2 documents, 0 skipped" in out
    assert "100.0 % of the text" in out
    assert " 0 lost" in out
    code, out, _ = run("index", *here, "--json")
    summary = json.loads(out)
    assert (code, summary["changed"], summary["completeness"]["tokens_lost"]) == (0, False, 0)
    assert "already up to date" in run("index", *here)[1]
    code, out, _ = run("ask", "Where does the cat sleep?", *here)
    assert code == 0
    assert "The cat sleeps on the warm mat." in out.partition("  Animals")[0]
    assert "Animals › Cats · zoo/animals.md, line 5 · confidence" in out
    assert run("ask", "Where", "does", *here, "the cat", "sleep?")[1] == out
    code, out, _ = run("ask", "Who painted the Mona Lisa?", *here)
    assert code == 0
    assert out.startswith("Not found in these documents (confidence ")
    code, out, _ = run("ask", "Where does the cat sleep?", *here, "--json", "--top-k", "1")
    answer = json.loads(out)
    assert answer["answer"]["text"].startswith("The cat sleeps on the warm mat.")
    assert answer["answer"]["citation_index"] == 0
    assert len(answer["results"]) == 1


@pytest.mark.parametrize("verdict", VERDICTS)
def test_the_verdict_heads_the_answer_and_the_reason_follows_it(
    verdict: AnswerVerdict | None, answerer: QuestionAnswerer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every quote has its source, and only the first one the confidence."""
    print_answer(with_verdict(answerer.ask(QUESTION), verdict))
    head, *passages = capsys.readouterr().out.split("\n\n")
    place = "  Animals › Cats · zoo/animals.md, line 5"
    lines = head.splitlines()
    if verdict == "not_found":
        assert lines[:2] == ["Not found in these documents (confidence 2%).", MISSING]
        assert lines[2].startswith("The nearest sections: Animals › Cats; ")
        assert lines[3:] == ["The nearest passages:"]
    elif verdict == "uncertain":
        assert lines[:3] == ["This may answer it:", QUOTE, f"{place} · confidence 30%"]
        assert lines[4].startswith("  ")
        assert "confidence" not in lines[4]
        assert lines[5:] == [CONFLICT]
    else:
        assert lines == [QUOTE, f"{place} · confidence {'unknown' if verdict is None else '90%'}"]
    assert len(passages) == 3


def test_the_words_that_answer_are_bold_on_a_terminal(
    answerer: QuestionAnswerer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the quote, which has a colour; a quote without such words is bold."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    print_answer(with_verdict(answerer.ask(QUESTION), "uncertain"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "\x1b[32mThe cat sleeps \x1b[0m\x1b[1;32mon the warm mat\x1b[0m\x1b[32m.\x1b[0m"
    assert lines[3].startswith("\x1b[1;32m")


def test_the_share_of_each_file_that_is_in_the_index_is_printed(run: Run, here: list[str], folder: Write) -> None:
    """The least first, as lines and as JSON; also if nothing changed."""
    folder({"page.txt": "The pier of glass\n\nBoats leave at five.\n\n" * 6})
    printed = run("index", "--files", *here)[1].splitlines()
    kept = json.loads(run("index", "--files", "--json", *here)[1])["kept_of_files"]
    assert next(iter(kept)) == "page.txt"
    assert [share for file, share in kept.items() if file != "page.txt"] == [1.0] * (len(kept) - 1)
    assert printed[-len(kept) :] == [f"{share:7.1%} {file}" for file, share in kept.items()]
    assert "kept_of_files" not in json.loads(run("index", "--json", *here)[1])


def test_broken_files_are_reported_and_decide_the_exit_code(run: Run, here: list[str], folder: Write) -> None:
    """Exit code 1 without --allow-skips; the rest is indexed anyway."""
    folder({"bad.txt": "caf\u00e9 ".encode() + b"\xff", "evil\x1b[2J.txt": b"%PDF-"})
    code, out, err = run("index", *here)
    assert code == 1
    assert "skipped bad.txt: is not UTF-8" in out
    assert "skipped evil\\x1b[2J.txt: is a PDF, not text" in out
    assert err.startswith("error: 2 file(s) could not be indexed")
    assert run("index", *here, "--allow-skips")[0] == 0
    assert run("ask", "cat", *here)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["index", "--source", "nowhere"], 4, "source folder nowhere does not exist"),
        (["ask", "hi", "--index", "nowhere"], 5, "no index at nowhere; build it with `qa-service index`"),
        (["serve", "--index", "nowhere", "--port", "0"], 3, "no index at nowhere"),
        (["ask"], 2, "Missing argument 'QUESTION...'"),
        (["ask", "hi", "--bad"], 2, "No such option '--bad'"),
        (["fetch", "page", "--into", "x"], 2, "can't fetch page: its address is not http:// or https://"),
        (["keys", "revoke", "nobody"], 2, "no key has the id 'nobody'"),
        (["frobnicate"], 2, "No such command 'frobnicate'"),
        (["serve", "--port", "65536"], 2, "QA_PORT (--port) is '65536'"),
        (["serve", "--port", "abc"], 2, "QA_PORT"),
        (["serve", "--host", "999.1.1.1"], 2, "host '999.1.1.1' is not an address"),
        (["ask", "hi", "--top-k", "0"], 2, "QA_TOP_K (--top-k) is '0'"),
        (["evaluate", "nowhere.jsonl"], 4, "can't open the question file nowhere.jsonl"),
        (["evaluate", "x", "--top-k", "0"], 2, "0 is not in the range 1<=x<=50"),
        (["evaluate", "x", "--top-k", "1000000000"], 2, "not in the range"),
        (["evaluate", "x", "--top-k", "abc"], 2, "'abc' is not a valid integer"),
        (["index", "--source", ".", "--model", "no/model"], 6, "no model 'no/model'"),
        (["ask", "hi", "--index", "file"], 5, "index file is a file"),
    ],
)
def test_errors_are_one_line_with_a_way_out(arguments: list[str], code: int, message: str, run: Run) -> None:
    """On stderr, starting with "error:", with the exit code of their kind."""
    Path("file").write_text("x", encoding="utf-8")
    found, out, err = run(*arguments)
    assert (found, out) == (code, "")
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("group", [[], ["keys"], ["feedback"]])
def test_a_group_without_a_command_prints_its_help(group: list[str], run: Run) -> None:
    """On stderr, since it is a usage error."""
    code, out, err = run(*group)
    assert (code, out) == (2, "")
    assert err.startswith("Usage: ")
    assert "Commands:" in err


def test_an_invalid_question_is_an_error(run: Run, here: list[str]) -> None:
    """An empty one, and one of a hundred thousand characters."""
    run("index", *here)
    assert "the question is empty" in run("ask", " ", *here)[2]
    code, _, err = run("ask", "x" * 100_000, *here)
    assert code == 2
    assert "100000 characters" in err


def test_evaluate_prints_measures_and_reports_bad_lines(run: Run, here: list[str], tmp_path: Path) -> None:
    """As a table and as JSON; exit code 1 for an invalid line, 4 with --strict."""
    run("index", *here)
    path = tmp_path / "q.jsonl"
    gold = {"document": "sea.txt", "content": "A crab walks sideways"}
    path.write_text(json.dumps({"question": "How does a crab walk?", "references": [gold]}), encoding="utf-8")
    code, out, _ = run("evaluate", path, *here)
    assert code == 0
    assert re.search(r"nDCG@10\W+1\.0000", out)
    report = json.loads(run("evaluate", path, *here, "--json")[1])
    assert report["measures"]["Success@1"]["mean"] == 1
    path.write_text(path.read_text() + "\n{bad\n", encoding="utf-8")
    code, _, err = run("evaluate", path, *here)
    assert code == 1
    assert err.startswith("line 2: not JSON")
    assert run("evaluate", path, *here, "--strict")[0] == 4


def test_doctor_reports_a_missing_stale_or_damaged_index(
    run: Run, here: list[str], folder: Write, tmp_path: Path
) -> None:
    """Exit code 0 for an intact and current index, 5 otherwise."""
    code, out, _ = run("doctor", *here)
    assert code == 5
    assert "FAIL  index: no index in" in out
    version = json.loads(run("index", *here, "--json")[1])["index_version"]
    code, out, _ = run("doctor", *here)
    assert (code, out.count("ok  ")) == (0, 8)
    assert re.search(r"reader: quick, lower\.onnx of [\d.]+ MB, sha256 \w{12}, upper\.onnx of", out)
    folder({"sea.txt": "Changed."})
    code, out, _ = run("doctor", *here)
    assert code == 5
    assert "they differ from the index" in out
    (tmp_path / "ix/generations" / version / "vectors.faiss").write_bytes(b"")
    findings = {finding["subject"]: finding for finding in json.loads(run("doctor", *here, "--json")[1])}
    assert findings["index"]["exit_code"] == 5
    assert "vectors.faiss has 0 bytes" in findings["index"]["state"]


def test_doctor_says_why_nothing_is_read() -> None:
    """The setting, or a model that the reader was not measured with."""
    tiny = ModelIdentity("tiny", "a" * 64, "b" * 64)
    for mode, reason in (("off", "QA_READER=off"), ("quick", "tiny is not the built-in model")):
        assert doctor._reader(mode, tiny) == f"none: {reason}; verdicts come from words and cosines"


def test_control_characters_are_escaped_for_a_terminal() -> None:
    """Escapes and direction marks are visible; words stay."""
    assert printable("a\x1b[2Jb\u202ec\né한\t") == "a\\x1b[2Jb\\u202ec\né한\t"


@pytest.mark.parametrize(("arguments", "loads_pydantic"), [(["--help"], False), (["ask", "--help"], True)])
def test_help_imports_no_heavy_library(arguments: list[str], loads_pydantic: bool) -> None:
    """The libraries of the model and the server stay out; pydantic describes options that set settings."""
    code = f"import sys; from qa_service.cli import cli; cli({arguments}, standalone_mode=False); print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    imported = set(output.splitlines()[-1].split())
    assert imported.isdisjoint({"torch", "numpy", "faiss", "fastapi", "rich", "transformers"})
    assert ("pydantic" in imported) == loads_pydantic


def test_a_closed_pipe_is_no_error(here: list[str]) -> None:
    """As with ``qa-service … | head -1``."""
    with subprocess.Popen(
        [sys.executable, "-m", "qa_service", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == b""


def test_a_port_in_use_is_reported_before_the_model_is_loaded(run: Run) -> None:
    """Exit code 3 and a hint to choose another port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = run("serve", "--port", port)
    assert code == 3
    assert f"can't listen on 127.0.0.1 port {port}: Address already in use; choose another with --port" in err


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_serve_answers_and_stops_on_a_signal(stop: signal.Signals, run: Run, here: list[str]) -> None:
    """On a free port, from any working directory, over a real socket; after the time to drain."""
    run("index", *here)
    command = [sys.executable, "-m", "qa_service", "serve", *here, "--port", "0"]
    drain = os.environ | {"QA_DRAIN_SECONDS": "0.3"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd="/", env=drain) as server:
        assert server.stderr is not None
        try:
            line = server.stderr.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            assert found, line
            transport = httpx2.HTTPTransport(retries=5)
            with httpx2.Client(base_url=found.group(), timeout=PATIENCE, transport=transport) as client:
                eventually(lambda: client.get("/readyz").status_code == 200)
                answer = client.post("/ask", json={"question": "Where does the cat sleep?"})
                assert "The cat sleeps on the warm mat." in answer.json()["answer"]["text"]
                assert "server" not in answer.headers
                assert client.get("/readyz").json()["status"] == "ready"
        finally:
            server.send_signal(stop)
            rest = server.stderr.read()
        assert server.wait(PATIENCE) in ({130} if stop is signal.SIGINT else {143, -15})
        assert "Traceback" not in rest


def test_a_server_that_is_stopped_while_it_opens_leaves_no_folder(
    run: Run, here: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of the metrics of several workers is there before the index is opened."""
    run("index", *here)
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setenv("TMPDIR", str(shared))
    command = [sys.executable, "-m", "qa_service", "serve", *here, "--port", "0", "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd="/") as server:
        eventually(lambda: list(shared.glob("qa-metrics-*")))
        server.send_signal(signal.SIGTERM)
        _, err = server.communicate(timeout=PATIENCE)
    assert server.returncode in {-signal.SIGTERM, 0}
    assert "Traceback" not in err
    assert list(shared.iterdir()) == []


def test_an_export_of_the_shipped_briefing_is_served(
    run: Run, tmp_path: Path, exported_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is unpacked into a temporary folder, which is gone after SIGTERM; the export stays, and can't be changed."""
    shutil.copytree(exported_models, tmp_path / "ix/models", copy_function=os.link)
    flags = ["--source", str(ROOT / "source_text"), "--index", str(tmp_path / "ix")]
    assert run("index", *flags)[0] == 0
    export = tmp_path / "briefing.tar.zst"
    assert run("export", export, *flags, "--data", tmp_path / "data")[0] == 0
    before = export.read_bytes()
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    monkeypatch.setenv("TMPDIR", str(unpacked))
    monkeypatch.setenv("QA_DOCUMENTS_WRITE", "true")
    monkeypatch.setenv("QA_DATA", str(tmp_path / "data"))
    with serving("--export", str(export)) as (_, client):
        answer = client.post("/ask", json={"question": "How many launchers are there in a THAAD battery?"}).json()
        assert answer["answer"]["text"] == "A battery has six launchers."
        assert client.get(answer["results"][0]["citation"]["url"]).status_code == 200
        assert client.put("/documents/new.txt", content=b"new").status_code == 403
        assert len(list(unpacked.iterdir())) == 1
    assert list(unpacked.iterdir()) == []
    assert export.read_bytes() == before


def test_the_shipped_briefing_is_found(run: Run, tmp_path: Path, exported_models: Path) -> None:
    """Success@5 of the shipped questions is at least 0.95 with the real model and the defaults."""
    shutil.copytree(exported_models, tmp_path / "ix/models", copy_function=os.link)
    flags = ["--source", str(ROOT / "source_text"), "--index", str(tmp_path / "ix")]
    summary = json.loads(run("index", *flags, "--json")[1])
    assert [item["uri"] for item in summary["skipped"]] == ["README", "starters.jsonl"]
    report = json.loads(run("evaluate", QUESTIONS, *flags, "--json")[1])
    assert report["scored"] >= 60
    assert report["measures"]["Success@5"]["mean"] >= 0.95
    assert not report["problems"]
    state = next(line for line in run("doctor", *flags)[1].splitlines() if "starters: " in line)
    proved, of = re.findall(r"\d+", state)[:2]
    assert int(proved) > 20
    assert int(of) == len((ROOT / "source_text/starters.jsonl").read_text(encoding="utf-8").splitlines())


def test_related_questions_are_proved_before_they_are_printed(run: Run, here: list[str], folder: Write) -> None:
    """One with wrong gold is not. `doctor` names it, and the lines that can't be read."""
    wakes = {"question": "When does the cat wake?", "references": [{"content": "It wakes at noon."}]}
    wrong = {"question": "Where does the cat sleep at night?", "references": [{"content": "guards the old farm"}]}
    folder({"starters.jsonl": f"{json.dumps(wakes)}\n{json.dumps(wrong)}\n"})
    assert "skipped starters.jsonl: questions to start with, not a document" in run("index", *here)[1]
    code, out, err = run("ask", "Where does the cat sleep?", *here)
    assert (code, err) == (0, "")
    assert out.partition("Related questions:\n")[2] == "  When does the cat wake?\n"
    answer = json.loads(run("ask", "Where does the cat sleep?", *here, "--json")[1])
    assert answer["related"] == ["When does the cat wake?"]
    code, out, _ = run("doctor", *here)
    assert (code, out.splitlines()[-1]) == (
        0,
        "ok    starters: 1 of 2 questions proved, not “Where does the cat sleep at night?”",
    )
    folder({"starters.jsonl": f"{json.dumps(wakes)}\n{{bad\n"})
    code, out, _ = run("doctor", *here)
    assert code == 1
    assert out.splitlines()[-1].startswith("FAIL  starters: 1 of 1 question proved; starters.jsonl, line 2: not JSON")


def test_an_index_folder_that_cannot_be_written_is_an_io_error(run: Run, here: list[str]) -> None:
    """Exit code 7 with the path and the reason."""
    code, _, err = run("index", *here[:2], "--index", "/proc/qa")
    assert code == 7
    assert "/proc/qa" in err
    assert os.strerror(2) in err or "Operation not permitted" in err


def test_why_and_calibrate(run: Run, here: list[str], tmp_path: Path) -> None:
    """`why` shows the results above a document; `calibrate` rejects too few questions and stores its fit."""
    run("index", *here)
    code, out, _ = run("why", "Where does the cat sleep?", "--document", "sea.txt", *here)
    assert code == 0
    assert re.search(r"rank [2-4] of [3-4]", out)
    assert "ranked above it" in out
    code, _, err = run("why", "cat", "--document", "none.md", *here)
    assert (code, "none.md" in err) == (2, True)
    path = tmp_path / "q.jsonl"
    gold = {"document": "zoo/animals.md", "content": "The cat sleeps on the warm mat."}
    right = [{"question": f"Where does the cat sleep, {number}?", "references": [gold]} for number in range(25)]
    wrong = [{"question": f"Who won the match of {number} goals?", "answerable": False} for number in range(25)]
    path.write_text("\n".join(map(json.dumps, right[:5] + wrong)), encoding="utf-8")
    code, _, err = run("calibrate", path, *here)
    assert (code, "too few questions to calibrate" in err) == (4, True)
    path.write_text("\n".join(map(json.dumps, right + wrong)), encoding="utf-8")
    code, out, _ = run("calibrate", path, *here)
    assert code == 0
    assert "calibrated on 50 questions, 25 of them" in out
    assert (tmp_path / "ix/calibration.json").exists()
    assert json.loads(run("ask", "Where does the cat sleep?", *here, "--json")[1])["confidence"] > 0.7
    assert json.loads(run("ask", "Who won the match of 99 goals?", *here, "--json")[1])["confidence"] < 0.3


def test_rollback_returns_to_the_previous_index(run: Run, here: list[str], folder: Write) -> None:
    """Without a previous index it is an error."""
    run("index", *here)
    first = json.loads(run("index", *here, "--json")[1])["index_version"]
    folder({"new.txt": "A new document."})
    second = json.loads(run("index", *here, "--json")[1])["index_version"]
    assert first != second
    assert run("rollback", *here[2:]) == (0, f"index {first} is current\n", "")
    code, _, err = run("rollback", *here[2:])
    assert code == 5
    assert "no intact generation older than" in err
    assert json.loads(run("index", *here, "--json")[1])["index_version"] == second


def test_verify_finds_a_flipped_byte_and_names_the_file(run: Run, here: list[str]) -> None:
    """`verify` without a file checks the index, also as `verify --index` and `verify --index DIR`."""
    run("index", *here)
    code, out, _ = run("verify", *here[2:])
    assert code == 0
    assert "all intact" in out
    index = Path(here[3])
    version = (index / "current").read_text(encoding="ascii").strip()
    for file in sorted((index / "generations" / version).iterdir()):
        whole = file.read_bytes()
        file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        code, _, err = run("verify", *here[2:])
        assert code == 5
        assert file.name in err
        file.write_bytes(whole)
    assert run("verify", *here[2:])[0] == 0
    assert run("verify", "--index")[0] == 5  # the default folder, which is not there


def test_verify_checks_citations_against_the_current_files(run: Run, here: list[str], folder: Write) -> None:
    """They are exact, moved to another file, changed, or gone; exit code 1 for the last two."""
    run("index", *here)
    answer = run("ask", "Where does the cat sleep?", *here, "--top-k", "1", "--json")[1]
    citations = Path("citations.jsonl")
    other = {"uri": "sea.txt", "start_char": 0, "quote": "The whale swims in the deep ocean."}
    citations.write_text(answer + "\n" + json.dumps(other) + "\n", encoding="utf-8")
    source = ["--source", here[1]]
    code, out, err = run("verify", str(citations), *source)
    assert (code, err) == (0, f"checked 2 citations against {here[1]}: 2 exact\n")
    assert [line.split()[0] for line in out.splitlines()] == ["exact", "exact"]
    text = (Path(here[1]) / "sea.txt").read_text(encoding="utf-8")
    folder({"sea.txt": text.replace("swims in the deep", "swims through the deep"), "copy.md": "Other."})
    code, out, err = run("verify", str(citations), *source, "--json")
    assert (code, err) == (1, f"checked 2 citations against {here[1]}: 1 exact, 1 changed\n")
    assert [json.loads(line)["state"] for line in out.splitlines()] == ["exact", "changed"]
    folder({"copy.md": text, "sea.txt": "Nothing."})
    assert run("verify", str(citations), *source)[1].splitlines()[1].startswith("moved in copy.md at 0")
    folder({"copy.md": "None."})
    code, out, _ = run("verify", str(citations), *source)
    assert code == 1
    assert out.splitlines()[1].startswith("gone: The whale")
    citations.write_text('{"a": 1}\n', encoding="utf-8")
    code, _, err = run("verify", str(citations), *source)
    assert code == 4
    assert "line 1: neither a citation nor an answer" in err
    assert run("verify", "nowhere.jsonl", *source)[0] == 4


def test_watch_builds_again_after_a_change_and_after_an_error(here: list[str], folder: Write) -> None:
    """Until it is interrupted; an error of the folder is reported, and the next change is built."""
    command = [sys.executable, "-m", "qa_service", "index", "--watch", "--json", *here]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/") as watching:
        try:
            assert json.loads(watching.stdout.readline())["documents"] == 2
            folder({"new.txt": "A new document stands here."})
            assert json.loads(watching.stdout.readline())["documents"] == 3
            for path in Path(here[1]).rglob("*.*"):
                path.unlink()
            assert "no usable document" in watching.stderr.readline()
            folder({"last.txt": "The last document stands here."})
            assert json.loads(watching.stdout.readline())["documents"] == 1
        finally:
            watching.send_signal(signal.SIGINT)
        assert watching.wait(PATIENCE) == 130


def test_watch_follows_collections_that_lie_elsewhere(here: list[str], folder: Write, tmp_path: Path) -> None:
    """A folder that vanishes is reported once; the others are built meanwhile, and it is built when it reappears."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "leave.txt").write_text("Leave is thirty days.")
    command = [sys.executable, "-m", "qa_service", "index", "--watch", "--json", *here]
    settings = os.environ | {"QA_COLLECTIONS": f"hr={elsewhere}"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, cwd="/", env=settings) as watching:

        def expect(documents: int, of_collection: int | None) -> None:
            found = None
            while found != (documents, of_collection):
                report = json.loads(watching.stdout.readline())
                found = (report["documents"], report["collections"].get("hr", {}).get("documents"))

        try:
            expect(2, 1)
            (elsewhere / "pay.txt").write_text("Pay comes on the last day of the month.")
            expect(2, 2)
            elsewhere.rename(tmp_path / "away")
            expect(2, None)
            folder({"new.txt": "A new document stands here."})
            expect(3, None)
            (tmp_path / "away").rename(elsewhere)
            expect(3, 2)
            (elsewhere / "more.txt").write_text("More is said here.")
            expect(3, 3)
            elsewhere.rename(tmp_path / "away")
            expect(3, None)
            elsewhere.mkdir()
            (elsewhere / "pay.txt").write_text("Pay comes on the first day.")
            expect(3, 1)
            (elsewhere / "leave.txt").write_text("Leave is forty days.")
            expect(3, 2)
        finally:
            watching.send_signal(signal.SIGINT)
        assert watching.wait(PATIENCE) == 130
        told = watching.stderr.read().splitlines()
    assert told.count(f"error: source folder {elsewhere} does not exist; create it or name another with --source") == 2


def test_watch_builds_once_another_build_has_ended(here: list[str], folder: Write, tmp_path: Path) -> None:
    """A change meanwhile is not lost; the wait is reported once."""
    command = [sys.executable, "-m", "qa_service", "index", "--watch", "--json", *here]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/") as watching:
        try:
            assert json.loads(watching.stdout.readline())["documents"] == 2
            with IndexFolder(tmp_path / "ix").building():
                folder({"new.txt": "A new document stands here."})
                assert "another process is building" in watching.stderr.readline()
            assert json.loads(watching.stdout.readline())["documents"] == 3
        finally:
            watching.send_signal(signal.SIGINT)
        assert watching.wait(PATIENCE) == 130
        assert "error" not in watching.stderr.read()
