"""Python client: typed responses, errors with their problem documents, retries while the service is busy.

::

    from qa_service.client import Client

    with Client("http://127.0.0.1:8000") as service:
        answer = service.ask("Who sank the Cheonan?", top_k=3)
        if answer.answer:
            print(answer.answer.text, answer.results[answer.answer.citation_index].citation.url)

:class:`AsyncClient` has the same methods as coroutines. The client imports neither a model nor an index.
"""

from qa_service.client.calls import ServiceError
from qa_service.client.clients import AsyncClient, Client

__all__ = ["AsyncClient", "Client", "ServiceError"]
