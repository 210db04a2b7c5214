"""All that appends to the log: command handlers and process managers."""
