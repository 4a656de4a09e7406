"""The admin API and its pages; served by the office, reached through the gate."""
