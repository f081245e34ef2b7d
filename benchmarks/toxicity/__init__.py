"""The toxicity classifier: what it learns from, how it is trained, and how it fares against its peers."""
