"""Statistics: flows and stocks over the features' own filters, as tables and as charts."""
