"""What is a credential: formats, names, notations, and how it is measured."""
