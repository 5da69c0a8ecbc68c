"""Every setting: what there is, and what is in force."""

from qa_service.settings.environment import described, environment_of, hand_on, load_settings
from qa_service.settings.fields import DEFAULT_MODEL, FILE, PREFIX, Settings

__all__ = ["DEFAULT_MODEL", "FILE", "PREFIX", "Settings", "described", "environment_of", "hand_on", "load_settings"]
