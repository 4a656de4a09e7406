"""The columns of rollups: what keeps series apart, and what is summed up."""

TOKENS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_read_audio_tokens",
    "cache_read_image_tokens",
    "cache_write_tokens",
    "cache_write_5m_tokens",
    "cache_write_30m_tokens",
    "cache_write_1h_tokens",
    "cache_write_12h_tokens",
    "input_audio_tokens",
    "input_image_tokens",
    "input_video_tokens",
    "output_tokens",
    "reasoning_tokens",
    "output_audio_tokens",
    "output_image_tokens",
)
DIMENSIONS = ("project", "key", "key_name", "upstream", "model", "outcome", "customer", "section")
SUMS = ("calls", "unpriced", "timed", "latency_us", "cost_high", "cost_low", *TOKENS)
COST_BASE = 10**9
