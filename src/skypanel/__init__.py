"""SkyPanel: a Git URL in, a running HTTPS app out."""

__version__ = "0.1.0"
