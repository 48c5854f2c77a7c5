"""The catalogue of requirements, and the features that they depend on."""
