"""Money: what ran is metered, rated, charged hour by hour, and kept in a ledger that can only be added to.

Do: charge what was recorded, each hour of each application once. Don't: ask a driver what runs.
"""
