"""One file per outside system, both directions: what is collected from it and what is asked of it.

Only `http.py` touches the network, only a system's own file knows its words, and no file knows another system
(PRODUCT.md R014). `SYSTEMS` lists them by name.
"""
