"""REST under `/api/v1/`: parse, call one step, render. No rule of the clinic lives here."""

#: Stands in every answer that shows what a network thinks.
RESEARCH_USE_ONLY = "Research use only – not for diagnostic use"
