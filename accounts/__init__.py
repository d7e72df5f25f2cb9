"""Who may do what: people, laboratories, roles, API tokens."""
