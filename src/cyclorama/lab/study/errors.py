"""What can go wrong between a study and the answers to it.

::

    DataError
    └── StudyError                      the folder holds no readable study
    InputError
    ├── StudyImageError               images of one pair cannot be shown side by side unnoticed
    └── AnswersError                    answers that cannot be scored
        ├── MalformedAnswersError       not a file of answers, or a ranking that is none
        ├── ForeignAnswersError         answers to another study, or from a rater this study does not know
        ├── IncompleteAnswersError      questions left open, or no answers at all
        └── ConflictingAnswersError     one rater answered the same question in two ways
"""

from __future__ import annotations

from cyclorama.errors import DataError, InputError


class StudyError(DataError):
    """The folder holds no study, or its key cannot be read."""


class StudyImageError(InputError):
    """The images of a pair differ in shape, so that a rater could tell the methods apart by it."""


class AnswersError(InputError):
    """Answers cannot be scored."""


class MalformedAnswersError(AnswersError):
    """The file is no file of answers, or one of its rankings is none."""


class ForeignAnswersError(AnswersError):
    """The answers belong to another study or to an unknown rater."""


class IncompleteAnswersError(AnswersError):
    """Some questions, or all, have no answer."""


class ConflictingAnswersError(AnswersError):
    """The same rater ranked the same images in two ways."""
