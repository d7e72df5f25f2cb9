"""The clinic: one module for each step that a smear takes, from intake to a reviewed verdict."""
