"""A whole evaluation: every category scored and measured, as tables, plots and files."""
