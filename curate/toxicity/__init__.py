"""The tiers of the toxicity step: word lists, the shipped classifier, a model of one's own."""
