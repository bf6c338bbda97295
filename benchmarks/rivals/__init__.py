"""Other durable engines, each as a small program that runs the same flow of six trivial steps: `finsync bench rivals`.

The programs know nothing of ours but `program.py` and run as child processes, so that what is measured of a rival is the
rival. They need the extra `[bench]`; a rival whose package or server is not there is left out with the reason.
"""
