"""The journal: what a call acknowledges is durable for the price of one small write.

This part can be left out: the file store knows of it only where it opens, closes, sweeps, removes,
inspects and makes durable what it publishes. The page about the journal in the documentation says
why nothing is lost.
"""
