"""The cluster as every door sees it: what was audited, who owns what, what checks look up, what is in force."""
