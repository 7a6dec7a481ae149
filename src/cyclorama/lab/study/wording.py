"""What the page says; symbols and digits carry most of it, and every sentence can be replaced."""

from __future__ import annotations

from collections.abc import Mapping

from cyclorama.errors import SettingsError

WORDING = {
    "language": "en",
    "direction": "ltr",
    "title": "Image study",
    "code": "Your code",
    "start": "Start",
    "unknown_code": "This code is not in this study. Please check it.",
    "introduction_rank": "Choose the images from first to last. The last place fills itself.",
    "introduction_change": "Choose a placed image again to take back its place and all after it.",
    "introduction_keys": "Keyboard: A, B, C … or 1, 2, 3 … to place, Backspace to take back, Enter to go on.",
    "introduction_kept": "Answers are kept on this device. You can close the page and go on later.",
    "similarity": "Which image is most like the reference in its background?",
    "similarity_scale": "1 = most alike",
    "quality": "Which image is the best as a whole?",
    "quality_scale": "1 = best",
    "reference": "Reference",
    "image": "Image {letter}",
    "place": "place {place}",
    "enlarge": "Enlarge",
    "close": "Close",
    "back": "Back",
    "undo": "Take back",
    "next": "Next",
    "progress": "{done} of {all}",
    "placed": "{letter}: place {place}",
    "taken_back": "Taken back",
    "complete": "All placed",
    "download": "Save answers as a file",
    "done": "All done. Thank you!",
    "send_file": "Please save your answers as a file and send it back.",
    "saved": "Your answers have arrived. You can close the page.",
    "not_sent": "Some answers have not arrived yet. The page keeps trying; you can also save them as a file.",
    "not_kept": "This browser keeps nothing. Save your answers as a file before you close the page.",
    "no_script": "This page needs JavaScript.",
}
"""Text by its purpose. ``{…}`` is filled in by the page."""


def check_wording(changes: Mapping[str, str]) -> dict[str, str]:
    """The wording with ``changes``. Raises SettingsError (unknown purpose, no text, a lost ``{…}``)."""
    for purpose, text in changes.items():
        if purpose not in WORDING:
            raise SettingsError(f"no wording {purpose!r}; choose from {', '.join(WORDING)}")
        if not isinstance(text, str) or not text.strip():
            raise SettingsError(f"the wording of {purpose!r} must be a text, got {text!r}")
        for blank in ("{letter}", "{place}", "{done}", "{all}"):
            if (blank in WORDING[purpose]) != (blank in text):
                raise SettingsError(
                    f"the wording of {purpose!r} needs {WORDING[purpose]!r}'s blanks, got {text!r}"
                )
    if changes.get("direction", "ltr") not in ("ltr", "rtl"):
        raise SettingsError(f"the wording's direction must be ltr or rtl, got {changes['direction']!r}")
    return {**WORDING, **changes}
