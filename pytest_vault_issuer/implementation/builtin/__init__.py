"""The implementations that come with this package."""
