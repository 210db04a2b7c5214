"""Looking back at the log for people: choosing events, showing them, and the state that they led to."""
