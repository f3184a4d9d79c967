"""The journal: what a call acknowledges is durable for the price of one small write.

A part that can be left out: nothing of the file store knows of it but its opening and the forcing
of what it publishes. Why nothing is lost is argued on the page about the journal in the
documentation.
"""
