"""The measured queues: one module per family behind the protocol in `peer`.

Nothing is imported here: a process that measures one of them must not have the others' modules
in its memory. `registry` has them all.
"""
