"""Results against labels: the published study's table on one's own cohort (docs/evaluate.md).

`labels` and `results` read, `cohort` sets them against each other, `statistics` and `figures`
count; `mask_files`, `grids`, `distances` and `masks` compare outlines; `documents`, `tables`,
`display` and `plots` say what came of it.
"""
