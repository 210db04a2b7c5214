"""The demo: one market session in lock-step on a whole engine, played by five traders, and a verdict on it."""
