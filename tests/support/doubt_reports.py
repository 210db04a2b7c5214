"""What the executor tells of orders in doubt, as the test sets it."""

from commands.doubt_reports import DoubtReport, ReportMissing
from domain.ids import AccountId


class SetDoubtReports:
    """Implements `commands.doubt_reports.DoubtReports`. Without a `report` nobody answers."""

    def __init__(self) -> None:
        self.report: DoubtReport | None = None

    async def of(self, account_id: AccountId) -> DoubtReport:  # noqa: ARG002 - one report for all
        if self.report is None:
            raise ReportMissing("the executor does not tell just now: it starts")
        return self.report
