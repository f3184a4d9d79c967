"""A demonstration: Semiont's six job types, run on the Python language reference.

It must not know how jobs are kept: it does what any user of the library can. It uses no model and
no network; the findings come from rules.
"""
