"""MkDocs plugin: adds the chat widget of qa_service to every page, by one script tag."""

import json
import re
from collections.abc import Mapping
from html import escape

from mkdocs.config import config_options
from mkdocs.config.base import Config
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import BasePlugin, event_priority
from mkdocs.structure.pages import Page

AFTER_PRIVACY = event_priority(-100)
"""Material's plugin ``privacy`` copies the scripts of other hosts, and a copy would not find the widget's files."""


class QaServiceConfig(Config):  # type: ignore[no-untyped-call]
    """The options below ``qa-service`` in mkdocs.yml."""

    endpoint = config_options.Type(str, default="")
    key = config_options.Type(str, default="")
    attributes = config_options.Type(dict, default={})


class QaServicePlugin(BasePlugin[QaServiceConfig]):  # type: ignore[no-untyped-call]
    """Adds the widget's script to the end of each page; without an endpoint it adds nothing."""

    _tag = ""

    def on_config(self, config: MkDocsConfig) -> None:
        """Make the script tag, or stop the build with the reason why not."""
        try:
            given = script_attributes(self.config.endpoint, self.config.key, self.config.attributes)
        except ValueError as error:
            raise PluginError(f"qa-service: {error}") from error
        written = " ".join(f'{name}="{escape(value)}"' for name, value in given.items())
        self._tag = f"<script {written} async></script>" if given else ""

    @AFTER_PRIVACY
    def on_post_page(self, output: str, *, page: Page, config: MkDocsConfig) -> str:
        """Add the script to a page."""
        return self._with_tag(output)

    @AFTER_PRIVACY
    def on_post_template(self, output: str, *, template_name: str, config: MkDocsConfig) -> str:
        """Add the script to the pages of the theme, such as 404.html."""
        return self._with_tag(output) if template_name.endswith(".html") else output

    def _with_tag(self, page: str) -> str:
        before, end, after = page.rpartition("</body>")
        return f"{before}{self._tag}{end}{after}" if end else page + self._tag


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
