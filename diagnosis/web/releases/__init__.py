"""The model pages: what each release of a network achieved, on whom, and where not to trust it."""
