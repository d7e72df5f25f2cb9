"""REST under `/api/v1/`: parse, call one step, render. No rule of the clinic lives here."""
