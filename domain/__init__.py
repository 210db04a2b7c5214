"""What Khata knows about trading: values, events and decisions, and nothing of the world outside."""
