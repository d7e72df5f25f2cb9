"""FHIR R4 (4.0.1) under `/fhir/R4/`, for reading: a third door beside pages and REST, which holds no rule of its own.

`docs/fhir.md` says which facts become which resources, and why.
"""
