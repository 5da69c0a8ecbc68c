"""The settings: fields, validation, and their sources."""

from qa_service.settings.environment import environment_of, export_settings, list_settings, load_settings
from qa_service.settings.fields import FILE, PREFIX, Settings, default_of, settings_that_change
from qa_service.settings.index_fields import DEFAULT_MODEL

__all__ = [
    "DEFAULT_MODEL",
    "FILE",
    "PREFIX",
    "Settings",
    "default_of",
    "environment_of",
    "export_settings",
    "list_settings",
    "load_settings",
    "settings_that_change",
]
