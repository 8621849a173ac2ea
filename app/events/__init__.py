"""Events: what happened, when, where, to whom."""
