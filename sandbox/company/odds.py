"""How often things happen in the company, how long they take and how large they are: every figure it is run by.

A share is a probability from 0 to 1. The figures are chosen so that a quarter of business shows each kind of exception
often enough to be seen on a page, and seldom enough that the company still looks like one that works.
"""

from datetime import time
from decimal import Decimal

# fmt: off
# Volume
UNIT_SHARES = {            # of all requisitions; Germany South is the largest plant, Kanto a sales and service office
    "DE-SOUTH": 0.30, "DE-NORTH": 0.20, "US-EAST": 0.17, "UK-MIDLANDS": 0.15, "US-WEST": 0.12, "JP-KANTO": 0.06,
}
WEEKDAY_FACTORS = (1.25, 1.10, 1.00, 0.95, 0.70, 0.0, 0.0)   # Monday clears the weekend's wishes; the mean of a week is 1
MONTH_END_DAYS, MONTH_END_FACTOR = 3, 1.40                   # budgets are spent before the month closes

# Requisitions
LINE_COUNT_WEIGHTS = (45, 30, 16, 9)       # one to four lines
SPLIT_SHARE = 0.10                         # of lines borne by two cost centres
TWO_SUPPLIERS_SHARE = 0.15                 # of requisitions that may have two (two lines at least): 8 % of all
NO_CONTRACT_SHARE = 0.10                   # of lines; each of them needs the exception approval at any amount
FOREIGN_CURRENCY_SHARES = {"UK-MIDLANDS": 0.05}  # bought from the continent, in euro
AMOUNT_CAP = Decimal(25)                   # thresholds: nobody buys a building through the catalogue
WITHDRAWN_SHARE, EDITED_SHARE, COPIED_SHARE = 0.015, 0.02, 0.01

# Approvals
COUPA_REJECTS_SHARE = 0.03                 # per step; with 1.3 steps to a chain 4 % of requisitions
SERVICENOW_REJECTS_SHARE = 0.07            # per request, whoever of its groups says it
COLLEAGUE_HELPS_SHARE = 0.4                # of requests that somebody else of the group takes when they lie too long
COLLEAGUE_HELPS_AFTER_H = 18.0             # working hours: two days
DECISION_MEDIAN_H, DECISION_SIGMA = 4.0, 0.9     # working hours, log-normal
SLOW_MEDIAN_H, SLOW_SIGMA = 26.0, 0.5            # three working days
DECISION_MIN_H, DECISION_MAX_H = 0.1, 60.0
BATCH_TIMES = (time(10, 30), time(15, 30))       # local time of those who decide twice a day
COMMENT_SHARE = 0.3                        # of approvals; a rejection always says why

# Orders, goods, invoices
REVISED_SHARE, CANCELLED_SHARE = 0.04, 0.01
LARGE_REVISION_SHARE = 0.4                 # of revisions that raise a line by more than a tenth, and need approval again
IN_TWO_PARTS_SHARE, LATE_DELIVERY_SHARE = 0.15, 0.05
RECEIPT_SAME_DAY_SHARE, RECEIPT_NEXT_DAY_SHARE = 0.72, 0.20   # the rest is posted days late
BILLED_WITHIN_DAYS = 6
INVOICE_BEFORE_RECEIPT_SHARE = 0.12
PRICE_VARIANCE_SHARE, OVERBILLED_SHARE = 0.05, 0.02
NO_ORDER_SHARE, UNKNOWN_ORDER_SHARE = 0.01, 0.005
BILLED_TWICE_SHARE = 0.015
PAYMENT_WEEKDAY = 3                        # Thursday; AP sets due days to the payment day on or after the term's end

# Systems at rest
LATENCY_S = {"coupa": 0.25, "servicenow": 0.35, "s4hana": 0.9, "basware": 0.3}   # on the fast clock; a tenth when living
LATENCY_JITTER = 0.6                       # of the latency, on top of it
REPLY_LOST_SHARE = 0.003                   # of SAP's writes: done, and the answer lost on the way
CARELESS_NEWS_SHARES = {"coupa": 0.01, "servicenow": 0.01, "basware": 0.01, "s4hana": 0.005}  # told twice, out of order

# Time
PERIOD_DAYS = 90                           # troubles are planned by the quarter
LATE_DAYS = 5                              # of its last days every fourth trouble is left as it is
LEFT_UNREPAIRED_EVERY = 4
AWAY_FROM_DAY, AWAY_DAYS = 40, 7           # of the period: the two holidays nobody stands in for
MISSED_AFTER_H = 6.0                       # work that was planned so long ago was missed: the company was switched off
ACTIONS_AT_ONCE = 4000                     # after a pause; what is left over follows at the next look
# fmt: on
