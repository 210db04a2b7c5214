"""The market feed and the order updates."""
