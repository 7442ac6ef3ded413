"""SkyPanel: a Git URL in, a running HTTPS app out."""

from importlib.metadata import version

__version__ = version("skypanel")
