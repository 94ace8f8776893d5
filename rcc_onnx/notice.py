"""The sentence that stands in every output."""

RESEARCH_ONLY = "Research software, not for diagnosis. A suspected lesion is not a diagnosis."
