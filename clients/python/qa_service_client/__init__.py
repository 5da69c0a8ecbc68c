"""Python client of a qa_service: typed responses, errors with their problem documents, retries while it is busy."""

from qa_service_client.client import AsyncClient, Client, ServiceError

__all__ = ["AsyncClient", "Client", "ServiceError"]
