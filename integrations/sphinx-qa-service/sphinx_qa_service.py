"""Sphinx extension: adds the chat widget of qa_service to every HTML page, by one script tag."""

import json
import re
from collections.abc import Mapping
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ConfigError


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the three options of conf.py."""
    app.add_config_value("qa_service_endpoint", "", "html", (str,))
    app.add_config_value("qa_service_key", "", "html", (str,))
    app.add_config_value("qa_service_attributes", {}, "html", (dict,))
    app.connect("builder-inited", _add_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _add_script(app: Sphinx) -> None:
    """Add the widget's script to the pages of a site; books and help files, which are read offline, get none."""
    options = app.config.qa_service_endpoint, app.config.qa_service_key, app.config.qa_service_attributes
    try:
        given = script_attributes(*options)
    except ValueError as error:
        raise ConfigError(f"qa_service_{error}") from error
    if given and app.builder.format == "html" and not getattr(app.builder, "embedded", False):
        app.add_js_file(given.pop("src"), loading_method="async", **given)


def script_attributes(endpoint: str, key: str, attributes: Mapping[str, object]) -> dict[str, str]:
    """Return the attributes of the loader's script tag, unescaped; none without an endpoint.

    Raises ValueError with the reason if the site would be published with a widget that can't work.
    """
    if not endpoint:
        return {}
    if not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", endpoint):
        raise ValueError(f"endpoint is {endpoint!r}; it must be a complete address such as https://qa.example.org")
    if key.startswith("sk_"):
        raise ValueError("key is secret, but everyone could read it on the pages; use a publishable one (pk_…)")
    for name in attributes:
        if not re.fullmatch(r"[a-z][a-z0-9-]*", str(name)):
            raise ValueError(f"attributes has {name!r}; names are written as in HTML, such as 'top-k'")
    base = endpoint.rstrip("/")
    # The search pages of site generators have the query parameter q themselves.
    values = {"endpoint": base, "key": key or None, "share-param": "ask", **attributes}
    texts = {f"data-{name}": _text(value) for name, value in values.items() if value is not None and value is not False}
    return {"src": f"{base}/widget/qa-chat-loader.js", **texts}


def _text(value: object) -> str:
    if value is True:
        return ""
    if isinstance(value, list | tuple):  # suggestions
        return "|".join(map(str, value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, Mapping) else str(value)  # strings is a mapping
