"""Bills that look like bills that are here already, on the page of what is due: before they are paid, by what they agree in, with a verdict that
is kept and used from then on (R082)."""

from typing import Any
from uuid import UUID, uuid4

import pandas as pd
import streamlit as st

from pages import frame
from pages.context import Context
from pages.filters import Filters
from pages.format import count, day, money, money_short, percent, plain, sentence, words
from pages.grids import grid
from pages.invoices_due_parts import URL_PATH, kept_filters, worth
from pages.tables import Column, work_table
from sync_engine.control.commands import NotAllowed
from sync_engine.control.roles import Action
from sync_engine.insight.open_invoices import Rules
from sync_engine.insight.reports import invoices_alike as ask

TABLE = "invoices_due.alike"
VERDICTS = {"distinct": "Two different bills", "duplicate": "The same bill twice"}

COLUMNS = (
    Column("number", "Invoice", "id", width=120), Column("other_number", "Looks like", "id", on_card=True, width=120), Column("supplier_name", "Supplier", on_card=True, width=170), Column("group_amount", "Value (EUR)", "group_money", on_card=True),
    Column("agrees", "Agreement", on_card=True, width=260), Column("confidence", "Confidence", "share", on_card=True, help="That it is a duplicate: the share of verdicts on this pattern that said so, begun with four of ours."), Column("judged", "Verdicts", "count", help="On this pattern."),
    Column("compare", "", "link", display="Compare"), Column("verdict_said", "Said so far", width=170), Column("due_on", "Due on", "date"), Column("invoiced_on", "Dated", "date"), Column("other_invoiced_on", "The other dated", "date"), Column("amount", "Amount", "money"), Column("other_amount", "The other's amount", "money"),
    Column("other_state", "The other is", "words"), Column("business_unit", "Unit"), Column("trace", "", "link", display="Trace"), Column("other_trace", "", "link", display="The other's trace"),
)  # fmt: skip


def draw(ctx: Context, chosen: Filters, known: Rules) -> None:
    """The pairs that are not called distinct, by pattern, and the form for a verdict on those that are chosen."""
    found = ask.candidates(ctx.reports, chosen.units, known, suppliers=chosen.of("supplier"))
    rows = found[found["verdict"] != "distinct"].reset_index(drop=True)
    settled = len(found) - len(rows)
    aside = f" {count(settled, 'pair')} {'has' if settled == 1 else 'have'} been called distinct." if settled else ""
    if rows.empty:
        st.subheader("No unpaid bill looks like another", anchor=False)
        frame.nothing_happened(f"No open invoice agrees with an earlier one.{aside}")
        return
    bills = rows.drop_duplicates("document_id")
    st.subheader(
        f"{count(len(bills), 'unpaid bill')} worth {money_short(worth(bills))} may be here twice", anchor=False
    )
    groups = [f"{count(int((rows['pattern'] == name).sum()), 'pair')}: {what} ({percent(float(rows[rows['pattern'] == name].iloc[0]['confidence']), digits=0)})" for name, what in ask.PATTERNS.items() if (rows["pattern"] == name).any()]  # fmt: skip
    st.caption(f"{'; '.join(groups)}.{aside} In brackets, how sure the pattern is.")
    kept, pairs = kept_filters(chosen), [f"{row.document_id}.{row.other_id}" for row in rows.itertuples()]
    shown = rows.assign(
        pair=pairs,
        compare=[ctx.href(URL_PATH, **kept, pair=pair) for pair in pairs],
        agrees=[sentence(ask.PATTERNS[pattern]) for pattern in rows["pattern"]],
        verdict_said=[f"{VERDICTS[verdict].lower()} ({author})" if isinstance(verdict, str) else "" for verdict, author in zip(rows["verdict"], rows["author"], strict=True)],
        trace=[ctx.href("trace", document=str(one)) for one in rows["document_id"]],
        other_trace=[ctx.href("trace", document=str(one)) for one in rows["other_id"]],
    )  # fmt: skip
    work_table(
        ctx, shown, COLUMNS, key=TABLE, window="open now", row_id="pair", noun="pair", title=lambda row: f"**{plain(row['number'])}** · {plain(row['business_unit'])}",
        card_action=lambda row: ctx.link(URL_PATH, "Compare", **kept, pair=row["pair"]),
    )  # fmt: skip
    asked = st.query_params.get("pair")
    one = shown[shown["pair"] == asked]
    if not ctx.may(Action.JUDGE_DUPLICATE):
        st.caption(ctx.why_not(Action.JUDGE_DUPLICATE))
    elif len(one):
        _judge(ctx, one.iloc[0].to_dict())
    else:
        st.caption("Compare a pair to say what it is.")


def _judge(ctx: Context, row: dict[str, Any]) -> None:
    prefix = f"invoices_due.judge.{row['pair']}"
    command_id = st.session_state.setdefault(f"{prefix}.command", uuid4())
    with st.container(border=True):
        both = pd.DataFrame(
            {
                "": ["Invoice", "Supplier", "Dated", "Amount", "Stands"],
                "This one": [row["number"], row["supplier_name"], day(row["invoiced_on"]), money(row["amount"], row["currency"]), words(row["state"])],
                "The earlier one": [row["other_number"], row["other_supplier_name"], day(row["other_invoiced_on"]), money(row["other_amount"], row["currency"]), words(row["other_state"])],
            }
        )  # fmt: skip
        grid(both, key=f"{prefix}.both")
        st.segmented_control("Verdict", list(VERDICTS), format_func=VERDICTS.__getitem__, key=f"{prefix}.verdict")
        st.text_input("Why (required; it stands in the audit trail)", key=f"{prefix}.reason", max_chars=500)
        error = st.session_state.pop(f"{prefix}.error", None)
        if error:
            st.error(plain(error), icon=":material/error:")
        st.button("Keep this verdict", key=f"{prefix}.go", type="primary", icon=":material/gavel:", on_click=_go, args=(ctx, command_id, row, prefix))  # fmt: skip


def _go(ctx: Context, command_id: UUID, row: dict[str, Any], prefix: str) -> None:
    verdict, reason = st.session_state.get(f"{prefix}.verdict"), (st.session_state.get(f"{prefix}.reason") or "").strip()  # fmt: skip
    if not verdict or not reason:
        st.session_state[f"{prefix}.error"] = "Choose a verdict and say why: both stand in the audit trail."
        return
    try:
        answered = ctx.ask(
            Action.JUDGE_DUPLICATE, command_id, reason=reason, document_id=str(row["document_id"]), other_id=str(row["other_id"]), pattern=row["pattern"], verdict=verdict,
        )  # fmt: skip
    except NotAllowed as refusal:
        st.session_state[f"{prefix}.error"] = str(refusal)
        return
    if answered is None or answered.status in {"asked", "done"}:
        st.toast(plain(answered.sentence) if answered else "Asked for.")
        return
    st.session_state[f"{prefix}.error"] = answered.sentence
    del st.session_state[f"{prefix}.command"]  # another try is another command
