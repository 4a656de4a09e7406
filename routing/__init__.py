"""Rules in CEL: which upstream serves a call, who hears of it; labels."""
