"""Tracebacks as a plugin's author wants them: from the plugin's first line on, nothing of ours.

Imported by workers: standard library only.
"""

from __future__ import annotations

import os
import traceback

_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep
_MAX_FRAMES = 64
_MAX_CHARACTERS = 32_000


def describe(error: BaseException) -> str:
    """The exception in one line, as Python ends a traceback: ``ValueError: no such room``."""
    try:
        text = "".join(traceback.format_exception_only(error)).strip()
    except BaseException:  # an exception whose __str__ raises is still one
        text = type(error).__name__
    return text[:_MAX_CHARACTERS]


def plugin_traceback(error: BaseException, plugin_dir: str | None = None) -> str:
    """The traceback without the frames of this package, with paths relative to ``plugin_dir``."""
    try:
        # A negative limit keeps the innermost frames: a runaway recursion has a million of them.
        whole = traceback.TracebackException.from_exception(error, limit=-_MAX_FRAMES)
        _prune(whole, set())
        text = "".join(whole.format())
    except BaseException:  # see describe
        return describe(error)
    if plugin_dir is not None:
        text = text.replace(plugin_dir.rstrip(os.sep) + os.sep, "")
    if len(text) > _MAX_CHARACTERS:
        half = _MAX_CHARACTERS // 2
        text = f"{text[:half]}\n  … {len(text) - 2 * half} characters left out …\n{text[-half:]}"
    return text


def _prune(part: traceback.TracebackException, seen: set[int]) -> None:
    if id(part) in seen:
        return
    seen.add(id(part))
    kept = [frame for frame in part.stack if not _is_ours(frame.filename)]
    part.stack = traceback.StackSummary.from_list(kept)
    for other in (part.__cause__, part.__context__, *(part.exceptions or ())):
        if other is not None:
            _prune(other, seen)


def _is_ours(filename: str) -> bool:
    return filename.startswith((_OURS, "<frozen importlib"))
