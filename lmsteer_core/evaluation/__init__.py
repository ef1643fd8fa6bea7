"""The paper's evaluation, offline: prompts → continuations of every method → judges → one report.

task → methods/ → run (generations and scores as files) → summary → report/
"""
