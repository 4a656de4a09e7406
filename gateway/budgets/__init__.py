"""What a call may cost, before it is sent: budgets in force, bounds, holds in the ledger, refusals, and limits of pace."""
