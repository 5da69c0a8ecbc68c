"""The threads that compute: batches, order, failures, and closing."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from processes import PATIENCE

from qa_service.errors import NotReady
from qa_service.server.worker import Worker

ALWAYS = -1.0
WAITING = ("second", "third", "fourth")


class Model:
    """Slow for each batch; records its batches, and can be paused."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.threads: set[str] = set()
        self.go = threading.Event()
        self.go.set()

    def embed(self, questions: Sequence[str]) -> list[str]:
        """Return the questions in capitals."""
        self.batches.append(list(questions))
        self.threads.add(threading.current_thread().name)
        assert self.go.wait(PATIENCE)
        if "broken" in questions:
            raise ValueError("broken")
        return [question.upper() for question in questions]


@asynccontextmanager
async def working() -> AsyncIterator[Worker]:
    worker = Worker(queue_limit=100, deadline_seconds=PATIENCE, hand_over_seconds=ALWAYS)
    try:
        yield worker
    finally:
        await asyncio.to_thread(worker.close)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - other threads set no event of this loop
            await asyncio.sleep(0.005)


async def held_with_others_waiting(
    worker: Worker, model: Model, answered: Callable[[str], str], *others: str
) -> list[asyncio.Task[str]]:
    """Ask one question, and others while it is embedded; then resume the model."""
    model.go.clear()
    before = len(model.batches)
    tasks = [asyncio.create_task(worker.answer(answered, "first", model.embed))]
    await until(lambda: len(model.batches) > before)
    tasks += [asyncio.create_task(worker.answer(answered, name, model.embed)) for name in others]
    await asyncio.sleep(0)  # which pauses each of them
    model.go.set()
    return tasks


def test_the_next_batch_is_embedded_while_the_last_one_is_answered() -> None:
    """By one thread, in one batch; the answer to the first question ends only after the others are embedded."""
    model, threads = Model(), list[str]()

    def answered(text: str) -> str:
        threads.append(threading.current_thread().name)
        if text == "FIRST":
            for _ in range(int(PATIENCE * 100)):
                if len(model.batches) > 1:
                    break
                threading.Event().wait(0.01)
            else:
                pytest.fail("nothing is embedded meanwhile")
        return text.lower()

    async def scenario() -> list[str]:
        async with working() as worker:
            return await asyncio.gather(*await held_with_others_waiting(worker, model, answered, *WAITING))

    assert asyncio.run(scenario()) == ["first", "second", "third", "fourth"]
    assert model.batches == [["first"], ["second", "third", "fourth"]]
    assert model.threads == {"encoder"}
    assert threads == ["answerer", "encoder", "encoder", "encoder"]  # no questions were queued behind the last ones


def test_calls_run_one_at_a_time_in_the_order_of_arrival() -> None:
    """An index is closed only after all of its questions are answered."""
    model, done = Model(), list[str]()
    inside = threading.Lock()

    def noted(text: str) -> str:
        assert inside.acquire(blocking=False)
        done.append(text)
        threading.Event().wait(0.002)
        inside.release()
        return text

    async def scenario() -> None:
        async with working() as worker:
            calls = []
            for number in range(60):
                name = f"Q{number}"
                if number % 7 == 3:
                    calls.append(asyncio.create_task(worker.run(lambda name=name: noted(name))))  # type: ignore[misc]
                else:
                    calls.append(asyncio.create_task(worker.answer(noted, name, model.embed)))
            await asyncio.gather(*calls)

    asyncio.run(scenario())
    assert done == [f"Q{number}" for number in range(60)]
    assert max(map(len, model.batches)) > 1


def test_a_question_that_can_not_be_embedded_fails_alone() -> None:
    """Then each is embedded by itself, by the thread that embeds."""
    model = Model()

    async def scenario() -> list[str | BaseException]:
        async with working() as worker:
            tasks = await held_with_others_waiting(worker, model, str, *WAITING, "broken")
            return await asyncio.gather(*tasks, return_exceptions=True)

    *found, failed = asyncio.run(scenario())
    assert found == ["FIRST", "SECOND", "THIRD", "FOURTH"]
    assert isinstance(failed, ValueError)
    assert model.batches[1:] == [["second", "third", "fourth", "broken"], ["second"], ["third"], ["fourth"], ["broken"]]
    assert model.threads == {"encoder"}


def test_a_stuck_call_is_reported_in_either_thread() -> None:
    """Also while the other thread has nothing to do."""
    model, go = Model(), threading.Event()

    def stuck(_: str) -> str:
        assert go.wait(PATIENCE)
        return threading.current_thread().name

    def told(worker: Worker) -> bool:
        with suppress(NotReady):
            worker.expect_alive()
            return False
        return True

    async def scenario() -> list[str]:
        worker = Worker(queue_limit=100, deadline_seconds=0.1, stuck_seconds=0.1, hand_over_seconds=ALWAYS)
        names = [asyncio.create_task(worker.answer(stuck, "alone", model.embed))]
        await until(lambda: told(worker))
        go.set()
        await until(lambda: not told(worker))
        go.clear()
        names += await held_with_others_waiting(worker, model, stuck, *WAITING)
        await until(lambda: told(worker))
        threads = list(worker._busy_since)
        go.set()
        await until(lambda: not told(worker))
        await asyncio.gather(*names, return_exceptions=True)
        await asyncio.to_thread(worker.close)
        return threads

    assert "answerer" in asyncio.run(scenario())


def test_work_in_the_background_waits_for_the_queue_and_takes_no_place_in_it() -> None:
    """Calls that arrive later run first. Closing the worker cancels what is left."""
    done: list[str] = []
    begun, go = threading.Event(), threading.Event()

    def held() -> None:
        begun.set()
        assert go.wait(PATIENCE)

    async def scenario() -> None:
        worker = Worker(queue_limit=3, deadline_seconds=PATIENCE)
        first = asyncio.create_task(worker.run(held))
        await until(begun.is_set)
        background = [asyncio.create_task(worker.run_in_background(lambda: done.append("later"))) for _ in range(9)]
        await asyncio.sleep(0)
        calls = [asyncio.create_task(worker.run(lambda: done.append("call"))) for _ in range(2)]
        await asyncio.sleep(0)
        assert worker.refusal() is not None
        go.set()
        await asyncio.gather(first, *calls, *background)
        assert done == ["call"] * 2 + ["later"] * 9
        go.clear()
        begun.clear()
        last = asyncio.create_task(worker.run_in_background(held))
        await until(begun.is_set)
        assert worker.refusal() is None
        left = asyncio.create_task(worker.run_in_background(lambda: done.append("never")))
        await asyncio.sleep(0)
        closing = asyncio.create_task(asyncio.to_thread(worker.close))
        await asyncio.wait([left])
        assert left.cancelled()
        go.set()
        await asyncio.gather(closing, last)
        with pytest.raises(NotReady):
            await worker.run_in_background(held)

    asyncio.run(scenario())
    assert "never" not in done
