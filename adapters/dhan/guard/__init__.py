"""What stands before every call: budgets, breakers, latches, tries."""
