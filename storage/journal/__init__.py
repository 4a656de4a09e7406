"""The journal: what happens in the gate, written to local segment files, so that the office may be away and the gate may be killed."""

from storage.journal.limits import JournalCounters, JournalLimits
from storage.journal.reader import JournalLag, JournalReader
from storage.journal.slots import JournalInUse
from storage.journal.writer import JournalWriter

__all__ = ["JournalCounters", "JournalInUse", "JournalLag", "JournalLimits", "JournalReader", "JournalWriter"]
