"""What is measured: one module per question, each function given the run."""
