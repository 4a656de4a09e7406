"""Token counts of our own, for what no provider counted: by tokenizer, in the office, never in the gate."""
