"""An account, a venue and an accountant: made-up lives of accounts, judged by plain arithmetic on lists of fills."""
