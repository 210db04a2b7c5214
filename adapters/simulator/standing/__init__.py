"""What lies at the broker until a price comes: super and forever orders, alerts, the ways out."""
