"""RBAC as a graph: subjects, the bindings that name them, the roles these resolve to, and what those amount to.

``rules`` reads one rule as the authorizer does, ``powers`` says what a rule amounts to, ``defaults`` knows what
a cluster is born with, ``roles`` resolves aggregation, ``bindings`` ties subjects to rules, ``graph`` indexes a
world by subject, ``grants`` says what one holds and may bind itself to, ``escalation`` finds the way from a subject
to cluster-admin.
"""
