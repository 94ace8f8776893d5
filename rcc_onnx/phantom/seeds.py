"""Which seeds serve what, so that no phantom that a network was judged on ever trained it."""

TRAINING = range(1_000_000, 2_000_000)
TUNING = range(2_000_000, 3_000_000)
"""For looking at while choosing how to train."""
EVALUATION = range(3_001_000, 4_000_000)
"""For the figures in the model card, and for nothing else. The thousand seeds before it were looked
at before the last phase of training was added: they judge nothing any more."""
EXAMPLES = range(1_000)
"""The demo, the tests and the documentation."""
