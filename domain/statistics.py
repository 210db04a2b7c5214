"""Statistics of results and prices. What goes in and comes out is money in paise; what lies between may be a float."""

from collections.abc import Sequence

import msgspec
import numpy as np

CERTAIN_BP = 10_000


class TailLoss(msgspec.Struct, frozen=True, kw_only=True):
    """How bad a day may be, in paise, positive for a loss.

    In a share of days of the confidence asked for, the loss is no larger than `value_at_risk_paise`; in the others it
    is `expected_shortfall_paise` on average.
    """

    value_at_risk_paise: int
    expected_shortfall_paise: int


def drawdowns(results_paise: Sequence[int]) -> list[int]:
    """Return how far each result lies below the highest up to it, in paise, oldest first. Before the first was 0.

    Source: A. Chekhlov, S. Uryasev, M. Zabarankin, "Drawdown measure in portfolio optimization", International Journal
    of Theoretical and Applied Finance 8 (2005), eq. 1, of uncompounded results.
    """
    results = np.asarray(results_paise, dtype=np.int64)
    peaks = np.maximum(np.maximum.accumulate(results), 0)
    return [int(each) for each in peaks - results]


def scenario_results(values_paise: Sequence[int], closes: Sequence[Sequence[int]]) -> list[float]:
    """Return what each past day would have brought to holdings that are worth *values_paise* now, in paise.

    *closes* has for each holding its closes on the same days, oldest first, on one scale.

    Source: P. Jorion, "Value at Risk", 3rd ed. (2007), ch. 10.3, historical simulation.
    """
    prices = np.asarray(closes, dtype=np.float64)
    returns = prices[:, 1:] / prices[:, :-1] - 1.0
    results = np.asarray(values_paise, dtype=np.float64) @ returns
    return [float(each) for each in results]


def tail_loss(results_paise: Sequence[float], *, confidence_bp: int) -> TailLoss:
    """Return value at risk and expected shortfall of *results_paise*, each as likely as the others.

    *confidence_bp* is the confidence in basis points (9,500: 95 %), below 10,000. Value at risk is the lower quantile
    of the losses; expected shortfall is the average of just the tail's share, for which the loss at its edge counts in
    part.

    Source: A. McNeil, R. Frey, P. Embrechts, "Quantitative Risk Management" (2005), definition 2.10; C. Acerbi,
    D. Tasche, "On the coherence of expected shortfall", Journal of Banking & Finance 26 (2002), proposition 4.1.
    """
    losses = np.sort(-np.asarray(results_paise, dtype=np.float64))[::-1]
    # So many losses make up the tail, in ten thousandths of one: whole numbers, for its edge to be exact.
    tail = len(losses) * (CERTAIN_BP - confidence_bp)
    whole, part = divmod(tail, CERTAIN_BP)
    edge = float(losses[whole])
    beyond = float(losses[:whole].sum()) * CERTAIN_BP + edge * part
    return TailLoss(value_at_risk_paise=round(edge), expected_shortfall_paise=round(beyond / tail))
