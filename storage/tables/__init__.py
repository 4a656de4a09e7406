"""The tables of the store, the same on SQLite and PostgreSQL.

A call is one row of `calls`: a few columns that lists filter by and sums add up, and `detail`, which holds the whole span. The columns
are copies for the database's use (see `span_rows`); what is shown comes from `detail`. Bodies are apart, in `contents`, and go first.
A change here needs a migration; a test compares the two.
"""

from storage.tables.base import BIG, METADATA, StoredRow, table_of
from storage.tables.budgets import BudgetRow, BudgetWarningRow, CallSpendingRow, LimitRaiseRow, SpendingRow, UnsettledRow
from storage.tables.calls import CallRow, CallTagRow, ContentRow
from storage.tables.deliveries import DeadPayloadRow, DeliveryRow, DeliveryTotalRow, EventRow, OfficeRow
from storage.tables.identity import StoreIdRow
from storage.tables.keys import KeyRow, SessionRow, SignInLinkRow
from storage.tables.prices import ChargedResponseRow, CostAdjustmentRow, PriceOverrideRow
from storage.tables.rollups import RollupDayRow, RollupHourRow, RollupLevelRow, RollupRow, RollupSlotRow, RollupStaleRow, SumsRow

__all__ = [
    "BIG",
    "METADATA",
    "BudgetRow",
    "BudgetWarningRow",
    "CallRow",
    "CallSpendingRow",
    "CallTagRow",
    "ChargedResponseRow",
    "ContentRow",
    "CostAdjustmentRow",
    "DeadPayloadRow",
    "DeliveryRow",
    "DeliveryTotalRow",
    "EventRow",
    "KeyRow",
    "LimitRaiseRow",
    "OfficeRow",
    "PriceOverrideRow",
    "RollupDayRow",
    "RollupHourRow",
    "RollupLevelRow",
    "RollupRow",
    "RollupSlotRow",
    "RollupStaleRow",
    "SessionRow",
    "SignInLinkRow",
    "SpendingRow",
    "StoreIdRow",
    "StoredRow",
    "SumsRow",
    "UnsettledRow",
    "table_of",
]
