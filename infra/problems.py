"""What an operator can mend: raised anywhere in `infra`, printed by the command line without a traceback."""


class OperatorProblem(Exception):
    """The engine cannot go on as it is set up. `remedy` says what to do about it; both name no secret."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(f"{message} {remedy}".rstrip())
        self.message = message
        self.remedy = remedy
