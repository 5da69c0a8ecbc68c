"""Request and response bodies over HTTP, for the server and the client.

Requests are strict: unknown keys, numbers as text and NaN are errors.
"""
