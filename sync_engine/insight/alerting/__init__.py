"""Alerts that mean money: rules in force, what their measures find, the state of every alert, the time machine, and who is told.

The arrows within: `findings` (what is so, now and then) to `states` (what that makes of alerts, pure) to `evaluate` (live) and
`simulate` (over the past); `notices` decides what is told, `shapes` how a channel wants it, `deliver` when it is tried again.
"""
