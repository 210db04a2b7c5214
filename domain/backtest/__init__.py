"""The backtest: a strategy tried on past data. Its orders and fills lie in another log; the last hash is kept here."""
