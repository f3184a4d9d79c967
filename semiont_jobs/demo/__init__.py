"""A demonstration: Semiont's six job types, run on the Python language reference.

It must not know how jobs are kept: it does what any user of the library can. No model and no
network are asked; the findings are those of rules.
"""
