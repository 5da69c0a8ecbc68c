"""Runs the stages on a Ray cluster, as one streaming pipeline of Ray Data: read | split | embed.

Files are read on the machine that started the build, the only one that needs them; their bytes, the model and the
shards go through Ray. Work that is lost with a machine is retried on another, a few times: a shard that ends every
process that tries it ends the build.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

from qa_service.datatypes import SourceFile
from qa_service.embedding import Embedder
from qa_service.errors import QAServiceError, RemoteError, SettingsError
from qa_service.indexing.cluster.stages import BuildPlan, BuiltShard, EmbedStage, PortableModel, SplitStage, read_shard
from qa_service.loading import Limits, SourceChangedError

# Shares of a core, so that both stages fit on a machine with one; with whole cores one of them would wait forever.
_SPLITTER_CORES, _EMBEDDER_CORES = 0.25, 0.75
_MAX_RETRIES = 4
_MAX_READERS = 2
_CORES_PER_SPLITTER = 4  # one splitter keeps so many embedding cores busy
_LOCAL = "local"
_COLUMN = "shard"


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Connect to a cluster, or start one of this machine alone if no address is given; disconnect at the end.

    Raises :class:`SettingsError` if Ray is not installed, :class:`RemoteError` if there is no cluster.
    """
    ray = _ray()
    try:
        ray.init(
            address=address or _LOCAL,
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:  # Ray raises no narrower class if it gives up starting
        if not address:
            raise RemoteError(
                f"Ray did not start: {_last_line(error)}; try again, or set QA_ENGINE=local to build without it"
            ) from error
        raise RemoteError(
            f"no Ray cluster at {address}: {_last_line(error)}; this machine must be a node of the cluster, with its "
            "token in RAY_AUTH_TOKEN or ~/.ray/auth_token"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def built_shards(plan: BuildPlan, model: PortableModel, groups: Sequence[Sequence[SourceFile]]) -> Iterator[BuiltShard]:
    """Build a shard of each group of files; yield them as they are finished, in any order.

    Raises the errors of the stages, and :class:`RemoteError` if the cluster fails.
    """
    ray = _ray()
    from ray.data import ActorPoolStrategy, DataContext, from_items  # noqa: PLC0415 - optional
    from ray.exceptions import RayError  # noqa: PLC0415

    context = DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
    arguments = (ray.put(plan), ray.put(model))
    stages = from_items([list(group) for group in groups], override_num_blocks=len(groups))
    stages = stages.map(
        partial(_read_row, limits=plan.limits),
        num_cpus=0,
        concurrency=min(_MAX_READERS, len(groups)),
        label_selector=here,
    )
    cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
    for stage, share, most in (
        (_RaySplitStage, _SPLITTER_CORES, -(-cores // _CORES_PER_SPLITTER)),
        (_RayEmbedStage, _EMBEDDER_CORES, cores),
    ):
        pool = ActorPoolStrategy(min_size=1, max_size=most)
        stages = stages.map(
            stage, fn_constructor_args=arguments, num_cpus=share, compute=pool, max_task_retries=_MAX_RETRIES
        )
    try:
        for row in stages.iter_rows():
            if isinstance(row[_COLUMN], Exception):
                raise row[_COLUMN]
            yield row[_COLUMN]
    except RayError as error:
        raise RemoteError(
            f"the Ray cluster failed: {_last_line(error)}; finished shards are kept for the next build"
        ) from error


def _read_row(row: dict[str, Any], limits: Limits) -> dict[str, Any]:
    return _advance(partial(read_shard, limits=limits), row["item"])


class _RayStage:
    """A stage of the pipeline, in a process of its own.

    It loads the model with the first row, not before, so that errors are returned like those of the work itself.
    """

    work: Callable[[BuildPlan, Embedder], Callable[[Any], Any]]
    only_to_count = False

    def __init__(self, plan_at: Any, model_at: Any) -> None:
        self._at = [plan_at, model_at]

    @cached_property
    def _work(self) -> Callable[[Any], Any]:
        plan, model = _ray().get(self._at)
        return type(self).work(plan, model.open(only_to_count=self.only_to_count))

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the row with its shard after this stage."""
        return _advance(lambda shard: self._work(shard), row[_COLUMN])  # noqa: PLW0108 - errors of loading the model are caught too


class _RaySplitStage(_RayStage):
    work = SplitStage
    only_to_count = True


class _RayEmbedStage(_RayStage):
    work = EmbedStage


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray reports its use to its makers
    try:
        import ray  # noqa: PLC0415 - optional, and a second of import
    except ImportError as error:
        raise SettingsError("QA_ENGINE=ray needs Ray; pip install 'qa-service[ray]'") from error
    return ray


def _advance(work: Callable[[Any], Any], shard: Any) -> dict[str, Any]:
    """Return a row with the result of the work or its error, of which Ray would keep only the text."""
    if isinstance(shard, Exception):
        return {_COLUMN: shard}
    try:
        return {_COLUMN: work(shard)}
    except (QAServiceError, SourceChangedError) as error:
        return {_COLUMN: error.with_traceback(None)}


def _last_line(error: BaseException) -> str:
    """Return the last line of an error's message; Ray puts the traceback before it."""
    return next((line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
