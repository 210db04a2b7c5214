"""What the market traded, second by second: recorded, made of candles, or made up from a seed."""
