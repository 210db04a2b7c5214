"""What there is to know of the market beside its last price: the day, candles, depth, options, the master."""
