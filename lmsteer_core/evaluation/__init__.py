"""The paper's evaluation, offline: prompts → continuations of every method → judges → one report.

task.py → methods.py, baselines/ → run.py (generations and scores as files) → summary.py → report.py
"""
