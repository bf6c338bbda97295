"""The least a Streamlit page with a chart can be, as the measure of ours: a heading and one line of ninety points. Served by the
benchmark of the pages, never imported.
"""

import plotly.graph_objects as go
import streamlit as st

st.set_page_config(page_title="One chart", layout="wide")
st.title("One chart", anchor=False)
days = list(range(90))
st.plotly_chart(go.Figure(go.Scatter(x=days, y=[day * 7 % 31 for day in days])), key="chart")
