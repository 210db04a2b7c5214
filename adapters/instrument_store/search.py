"""Search in the definitions of a day: words in any order, by their beginnings, with a typing error forgiven.

Every word of a query has to begin a word of an instrument's symbol, name or ISIN; a derivative's symbol has its last
day, strike and right as words, so `nifty 25000 ce` and `oct fut reliance` find theirs. A word that begins nothing at
all stands for those that are spelt most like it.

What a trader is most likely to mean comes first: the very symbol, then what begins with the first word or has a word
as a whole, what has derivatives, the NSE before others, shares and indices before funds, futures, options and bonds;
of derivatives the next to expire.
"""

import re
from collections.abc import Sequence
from datetime import date

import polars as pl
from polars import col
from rapidfuzz import process
from rapidfuzz.distance import OSA

from adapters.instrument_store.definitions import KEY
from domain.instrument import InstrumentKey, InstrumentKind, Segment

_SYNONYMS = {
    "CALL": "CE",
    "CALLS": "CE",
    "PUT": "PE",
    "PUTS": "PE",
    "FUTURE": "FUT",
    "FUTURES": "FUT",
    "OPTION": "OPT",
    "OPTIONS": "OPT",
}
_WORD = re.compile(r"[0-9A-Z.&]+")
_WORDS_MAX = 8
_SPELT_LIKE, _SPELT_LIKE_MIN_LETTERS = 0.7, 4
_SPELLINGS_MAX = 3
_WORTH_BY_KIND = {
    InstrumentKind.INDEX.value: 12,
    InstrumentKind.EQUITY.value: 10,
    InstrumentKind.FUND.value: 6,
    InstrumentKind.FUTURE.value: 4,
    InstrumentKind.OPTION.value: 2,
    InstrumentKind.BOND.value: 0,
}
_WORTH_EXACT, _WORTH_BEGIN, _WORTH_WHOLE, _WORTH_WITH_DERIVATIVES, _WORTH_NSE, _WORTH_TEST = 100, 20, 10, 15, 8, -100
_ABROAD = (Segment.BSE_EQ.value, Segment.BSE_FNO.value, Segment.BSE_CURRENCY.value)


class Search:
    """What can be searched of one history of the master."""

    def __init__(self, history: pl.DataFrame) -> None:
        """Prepare it; that takes a moment."""
        words = pl.concat_str("symbol", "name", "isin", separator=" ", ignore_nulls=True).str.to_uppercase()
        right = pl.when(col("kind") == InstrumentKind.OPTION.value).then(pl.lit(" OPT")).otherwise(pl.lit(""))
        derived = history.select(col("underlying").drop_nulls().unique()).to_series()
        self._rows = (
            history.lazy()
            .select(
                "segment",
                "security_id",
                "kind",
                "symbol",
                "is_test",
                "expires_on",
                "valid_from",
                "valid_until",
                # Blanks around each word, so that its beginning and its end can be looked for as plain text.
                (pl.lit(" ") + words.str.replace_all(r"[^0-9A-Z.&]+", " ") + right + pl.lit(" ")).alias("text"),
                (
                    pl.when(col("kind") == InstrumentKind.INDEX.value)
                    .then(col("symbol").is_in(derived.implode()))
                    .otherwise("has_derivatives")
                ).alias("has_derivatives"),
            )
            .collect()
        )
        said = self._rows.filter(~col("kind").is_in([InstrumentKind.OPTION.value, InstrumentKind.FUTURE.value]))
        spelt = said.select(col("text").str.split(" ").explode().unique()).to_series()
        self._vocabulary = [*filter(None, spelt.to_list()), *derived.to_list(), *_SYNONYMS]

    def keys(
        self, query: str, *, day: date, segment: Segment | None = None, kind: InstrumentKind | None = None, limit: int
    ) -> list[InstrumentKey]:
        """Return the keys of what *query* finds among the definitions in force on *day*, best first."""
        words = [_SYNONYMS.get(word, word) for word in _WORD.findall(query.upper())][:_WORDS_MAX]
        if not words:
            return []
        today = pl.lit(day)
        found = self._rows.filter(
            col("valid_from").is_null() | (col("valid_from") <= today),
            col("valid_until").is_null() | (today < col("valid_until")),
            col("expires_on").is_null() | (col("expires_on") >= day.isoformat()),
            *([] if segment is None else [col("segment") == segment.value]),
            *([] if kind is None else [col("kind") == kind.value]),
        )
        meant = []
        for word in sorted(words, key=len, reverse=True):
            narrowed = found.filter(_begins(word))
            spellings: Sequence[str] = [word]
            if narrowed.is_empty() and (spellings := self._spellings(word)):
                narrowed = found.filter(pl.any_horizontal(_begins(spelling) for spelling in spellings))
            if narrowed.is_empty():
                return []
            found = narrowed
            meant.append(spellings)
        return _ranked(found, " ".join(query.upper().split()), words[0], meant, limit)

    def _spellings(self, word: str) -> Sequence[str]:
        """Return the words that are spelt most like *word*; a number is never taken for another."""
        if len(word) < _SPELT_LIKE_MIN_LETTERS or not word.isalpha():
            return []
        near = process.extract(
            word, self._vocabulary, scorer=OSA.normalized_similarity, score_cutoff=_SPELT_LIKE, limit=_SPELLINGS_MAX
        )
        return [_SYNONYMS.get(spelling, spelling) for spelling, score, _ in near if score == near[0][1]]


def _begins(word: str) -> pl.Expr:
    return col("text").str.contains(f" {word}", literal=True)


def _ranked(
    found: pl.DataFrame, whole: str, first: str, meant: Sequence[Sequence[str]], limit: int
) -> list[InstrumentKey]:
    symbol = col("symbol")
    begins_symbol = symbol.str.strip_prefix("BSE:").str.starts_with(first)
    as_a_whole = [
        pl.any_horizontal(col("text").str.contains(f" {spelling} ", literal=True) for spelling in spellings)
        for spellings in meant
    ]
    worth = (
        (symbol.str.replace(":", " ", literal=True) == whole.replace(":", " ")) * _WORTH_EXACT
        + begins_symbol * _WORTH_BEGIN
        + pl.sum_horizontal(as_a_whole).cast(pl.Int64) * _WORTH_WHOLE
        + col("has_derivatives") * _WORTH_WITH_DERIVATIVES
        + ~col("segment").is_in(_ABROAD) * _WORTH_NSE
        + col("is_test") * _WORTH_TEST
        + col("kind").replace_strict(_WORTH_BY_KIND, return_dtype=pl.Int64)
    )
    best = found.with_columns(worth.alias("worth")).sort(
        "worth",
        "expires_on",
        symbol.str.len_chars(),
        "symbol",
        descending=[True, False, False, False],
        nulls_last=False,
    )
    return [InstrumentKey(Segment(*of), security_id) for *of, security_id in best.head(limit).select(KEY).rows()]
