"""The science of LeukoLens: networks that read blood smears. No Django, and nothing heavy at import."""

__version__ = "0.1.0"
