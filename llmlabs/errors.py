"""Errors for people: what was wrong and where, then what to do next."""


class CourseError(Exception):
    """An error that a user can mend; the command prints it in one or two lines and exits with code 1."""

    def __init__(self, what: str, mend: str = "") -> None:
        super().__init__(f"{what}\n{mend}" if mend else what)
        self.what = what
        self.mend = mend
