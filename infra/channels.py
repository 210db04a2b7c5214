"""Under which subjects the executor answers about its looks at the broker's books."""

RECONCILE = "khata.reconcile.executor"
LAST_LOOK = "khata.last_look.executor"
