"""SkyPanel: a Git URL in, a running HTTPS app out."""
