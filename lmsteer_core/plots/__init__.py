"""Results in, plotly figures out; nothing here knows a model."""
