"""A demonstration: Semiont's six job types, run on the Python language reference."""
