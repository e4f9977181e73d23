"""Who isolates a workload on the network: every policy API read into one model, and the model asked by pod.

``selectors`` and ``calico_selector`` say which labels a policy wants, ``model`` is what a policy amounts to,
``kubernetes``, ``calico``, ``cilium`` and ``admin`` read one API each. ``coverage`` finds those that select a pod,
``isolation`` says what they decide together.
"""
