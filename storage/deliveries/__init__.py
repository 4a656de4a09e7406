"""Deliveries: what is owed to destinations, in the database beside the spans.

`DeliveryStore` is for the courier of an office; `DeliveryDesk` is the part of it that people use, and any process may have one.
"""

from storage.deliveries.desk import DeliveryDesk
from storage.deliveries.records import DeliveryPage, DeliveryRecord, Listing
from storage.deliveries.store import DeliveryStore

__all__ = ["DeliveryDesk", "DeliveryPage", "DeliveryRecord", "DeliveryStore", "Listing"]
