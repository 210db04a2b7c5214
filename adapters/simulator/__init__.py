"""A second Dhan: an exchange of our own behind Dhan's REST paths and market feed."""
